// The list: suggestions of the engine, eight to a page, what is picked, liked and rejected.
//
// A suggestion is what shares a rank: one stem, or one for each role. Favourites and rejections are
// kept with the set, by stem ids. Those begin with a letter and are joined by "+", so that Max
// never takes one for a number or for two words. Datagrams come in any order, so the stems of a
// suggestion are put into the engine's order, and into the alphabet's in what is kept.

var Results = (function () {
    var ROWS = 8;
    var LIMIT = 32; // suggestions asked for: four pages
    var EMPTY = ["nothing_fits", "empty_library", "no_library"]; // errors that asking again keeps
    var KEPT = 120; // favourites, rejections: together less than a list of 256, which Max may cut
    // The engine names the stems of a suggestion, and renders them, in this order.
    var ORDER = ["harmonic", "percussion", "drums", "bass", "other", "vocals", "mix"];

    var found = {}; // rank to hits
    var expected = 0;
    var shown = []; // suggestions in order, without rejected ones
    var page = 0;
    var picked = -1; // index into shown
    var running = 0;
    var askedAt = 120; // tempo of the set when they were asked for
    var resent = false;
    var favourites = [];
    var rejected = [];

    function ask() {
        var clip = Clip.now();
        if (!clip) {
            return;
        }
        clear();
        Session.tell();
        askedAt = Session.tempo();
        Picture.say(Words.searching);
        running = Requests.send(
            "/dawlink/suggest",
            [[clip.clipId, LIMIT, ROLES[chosen.roles] || ROLES[0]]],
            { part: take, done: complete, failed: failed, patient: true }
        );
    }

    function take(address, args) {
        if (address === "/dawlink/suggest/begin") {
            expected = args[0];
        } else if (address === "/dawlink/suggest/hit") {
            Clip.keepBar(args[7], askedAt);
            add({
                rank: args[0], id: String(args[1]), score: args[2], role: args[3],
                title: String(args[4]), ratio: args[5], semitones: args[6],
                offset: Clip.inSet(args[7]), bars: args[8]
            });
        }
    }

    function add(hit) {
        var hits = found[hit.rank] || (found[hit.rank] = []);
        var i;
        for (i = 0; i < hits.length; i += 1) {
            if (hits[i].id === hit.id) {
                return;
            }
        }
        hits.push(hit);
    }

    function complete(args) {
        var of = running;
        var missing = lostRanks(args[0]);
        running = 0;
        if (missing.length) {
            fetch(of, missing);
        } else {
            settle();
        }
    }

    // Ranks of which a datagram was lost: every rank has as many stems as the fullest.
    function lostRanks(count) {
        var ranks = Object.keys(found).map(Number);
        var most = ranks.reduce(function (sum, r) { return Math.max(sum, found[r].length); }, 1);
        var have = ranks.reduce(function (sum, r) { return sum + found[r].length; }, 0);
        var last = Math.ceil(Math.max(count, expected) / most);
        var missing = [];
        var rank;
        if (have < count) {
            for (rank = 1; rank <= last; rank += 1) {
                if (!found[rank] || found[rank].length < most) {
                    missing.push(rank);
                }
            }
        }
        return missing;
    }

    function fetch(of, missing) {
        var left = missing.length;
        function one() {
            left -= 1;
            if (left === 0) {
                settle();
            }
        }
        missing.forEach(function (rank) {
            Requests.send("/dawlink/suggest/get", [[of, rank]], {
                part: take, done: one, failed: one
            });
        });
    }

    function failed(code, sentence, name) {
        running = 0;
        if (code === 5 && !resent && EMPTY.indexOf(name) < 0) {
            resent = true; // the engine has forgotten the clip: tell it again, once
            Clip.again(true);
        } else {
            Picture.say(sentence);
        }
    }

    function settle() {
        resent = false;
        arrange();
        show();
        Picture.say((shown.length ? Link.takeNews() || Words.pick : Words.nothing) +
            Session.metre());
    }

    function arrange() {
        shown = Object.keys(found).map(Number).sort(function (a, b) { return a - b; })
            .map(function (rank) { return suggestion(found[rank]); })
            .filter(function (one) { return rejected.indexOf(one.key) < 0; });
        page = Math.max(0, Math.min(page, pages() - 1));
    }

    function inOrder(one, other) {
        return ORDER.indexOf(one.role) - ORDER.indexOf(other.role) || (one.id < other.id ? -1 : 1);
    }

    // What a suggestion is kept by: the same for the same stems in any order.
    function keyOf(ids) {
        return ids.slice().sort().join("+");
    }

    function suggestion(arrived) {
        var hits = arrived.slice().sort(inOrder);
        var ids = hits.map(function (hit) { return hit.id; });
        var pitched = hits.filter(function (hit) {
            return hit.role !== "percussion" && hit.role !== "drums";
        })[0] || hits[0];
        var titles = hits.map(function (hit) { return hit.title; });
        return {
            ids: ids.join(" "),
            key: keyOf(ids),
            hits: hits,
            title: titles.filter(function (t, i) { return titles.indexOf(t) === i; }).join(" + "),
            role: hits.map(function (hit) { return Format.role(hit.role); }).join("+"),
            fit: Format.percent(hits[0].score),
            semi: Format.semitones(pitched.semitones),
            stretch: Format.stretch(pitched.ratio),
            bars: hits[0].bars,
            offset: hits[0].offset
        };
    }

    // Beats of the set, as fast as it is now, from the clip's start to the first bar of the
    // suggestions. An unwarped clip's bars keep their seconds when the set changes its tempo.
    function offset() {
        var beats = shown.length ? shown[0].offset : 0;
        var clip = Clip.now();
        return clip && !clip.warped ? beats * Session.tempo() / askedAt : beats;
    }

    function pages() {
        return Math.max(1, Math.ceil(shown.length / ROWS));
    }

    function show() {
        var row;
        for (row = 1; row <= ROWS; row += 1) {
            showRow(row, shown[page * ROWS + row - 1]);
        }
        Picture.put("page", (page + 1) + "/" + pages());
        Picture.put("favourite", picked >= 0 && liked(shown[picked]) ? 1 : 0);
    }

    function showRow(row, one) {
        var cells = one || { title: "", role: "", fit: "", semi: "", stretch: "" };
        Picture.put("row", row, "title", (one && liked(one) ? "* " : "") + cells.title);
        Picture.put("row", row, "role", cells.role);
        Picture.put("row", row, "fit", cells.fit);
        Picture.put("row", row, "semi", cells.semi);
        Picture.put("row", row, "stretch", cells.stretch);
        Picture.put("row", row, "on", page * ROWS + row - 1 === picked ? 1 : 0);
    }

    function pick(row) {
        var index = page * ROWS + row - 1;
        Picture.forget("row " + row + " on");
        if (index < shown.length) {
            picked = index;
        }
        show();
        if (index < shown.length) {
            Audition.picked();
        }
    }

    function turn(by) {
        page = Math.max(0, Math.min(pages() - 1, page + by));
        show();
    }

    function liked(one) {
        return favourites.indexOf(one.key) >= 0;
    }

    function favour() {
        var one = shown[picked];
        var at;
        Picture.forget("favourite");
        if (one) {
            at = favourites.indexOf(one.key);
            if (at >= 0) {
                favourites.splice(at, 1);
            } else {
                favourites = favourites.concat([one.key]).slice(-KEPT);
                Picture.say(Words.favourite);
            }
            store();
        } else {
            Picture.say(Words.pickFirst);
        }
        show();
    }

    function reject() {
        var one = shown[picked];
        if (!one) {
            Picture.say(Words.pickFirst);
            return;
        }
        rejected = rejected.concat([one.key]).slice(-KEPT);
        store();
        Audition.stop();
        picked = -1;
        arrange();
        show();
        Picture.say(Words.rejected);
    }

    function store() {
        outlet.apply(host, [STORE, "v1", favourites.length].concat(favourites, rejected));
    }

    // Sets of earlier versions keep ids in the order in which they had come.
    function stored(atom) {
        return keyOf(String(atom).split("+"));
    }

    function restore(atoms) {
        var count = Number(atoms[1]);
        if (atoms[0] === "v1" && count >= 0) {
            favourites = atoms.slice(2, 2 + count).map(stored).slice(-KEPT);
            rejected = atoms.slice(2 + count).map(stored).slice(-KEPT);
            arrange();
            show();
        }
    }

    function clear() {
        Requests.cancel(running);
        running = 0;
        found = {};
        expected = 0;
        shown = [];
        page = 0;
        picked = -1;
        Audition.stop();
        show();
    }

    return {
        ask: ask, clear: clear, pick: pick, turn: turn, favour: favour, reject: reject,
        restore: restore,
        offset: offset,
        picked: function () { return shown[picked] || null; }
    };
}());
