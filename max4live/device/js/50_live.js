// Live's object model, behind a few readers that never throw and never lie about what is missing.
//
// LiveAPI objects are made in start(), after live.thisdevice, and pointed elsewhere by id
// afterwards: making one for each clip would leak. A missing object answers a bare 1 instead of a
// list. Notification callbacks only put a message into deferlow.

var Live = (function () {
    var objects = {};
    var known = {};
    var byPath = false; // this Max takes an id only as a path

    function watch(path, property) {
        var watcher = new LiveAPI(function () {
            outlet(LATER, "changed", property);
        }, path);
        watcher.property = property;
        objects["watch " + property] = watcher;
    }

    function start() {
        objects.song = new LiveAPI(null, "live_set");
        objects.view = new LiveAPI(null, "live_set view");
        objects.device = new LiveAPI(null, "this_device");
        objects.clip = new LiveAPI(null, "live_set");
        objects.track = new LiveAPI(null, "live_set");
        objects.slot = new LiveAPI(null, "live_set");
        objects.other = new LiveAPI(null, "live_set");
        byPath = false;
        byPath = !point(objects.other, idOf(objects.view));
        watch("live_set", "tempo");
        watch("live_set", "signature_numerator");
        watch("live_set", "signature_denominator");
        watch("live_set", "root_note");
        watch("live_set", "scale_name");
        if (knows("song", "scale_mode")) {
            watch("live_set", "scale_mode");
        }
        watch("live_set", "is_playing");
        watch("live_set view", "detail_clip");
    }

    function list(api, property) {
        var got = api.get(property);
        if (typeof got === "string") {
            return [got];
        }
        return got !== null && typeof got === "object" && got.length !== undefined ? got : [];
    }

    function value(api, property) {
        var got = list(api, property);
        return got.length ? got[0] : null;
    }

    function number(api, property) {
        var got = Number(value(api, property));
        return isFinite(got) ? got : 0;
    }

    // Texts with spaces may come in pieces.
    function text(api, property) {
        var got = list(api, property).join(" ");
        return got.replace(/^"(.*)"$/, "$1");
    }

    // Ids out of `id 3` or `id 3 id 7 ...`.
    function ids(api, property) {
        var got = list(api, property);
        var found = [];
        var i;
        for (i = 0; i + 1 < got.length; i += 2) {
            if (got[i] === "id" && Number(got[i + 1]) !== 0) {
                found.push(Number(got[i + 1]));
            }
        }
        return found;
    }

    // "5" or "id 5".
    function idOf(api) {
        return Number(String(api.id).replace(/^id /, ""));
    }

    // Lets `api` stand for another object; false when that is not there any more.
    function point(api, id) {
        if (byPath) {
            api.path = "id " + id;
        } else {
            api.id = id;
        }
        return Number(id) !== 0 && idOf(api) === Number(id);
    }

    function has(api, member) {
        return new RegExp("\\b" + member + "\\b").test(String(api.info));
    }

    // Whether this Live's sets or clips have a property; `info` is long, so it is read once.
    function knows(kind, property) {
        var place = kind + " " + property;
        if (known[place] === undefined) {
            known[place] = has(objects[kind], property);
        }
        return known[place];
    }

    // "yes", "no", or "try" where `info` lists no functions at all.
    function can(api, functionName) {
        if (has(api, functionName)) {
            return "yes";
        }
        return (/\bfunction\b/).test(String(api.info)) ? "no" : "try";
    }

    function object(name) {
        return objects[name];
    }

    return {
        start: start, value: value, number: number, text: text, ids: ids, point: point,
        knows: knows, can: can, object: object
    };
}());
