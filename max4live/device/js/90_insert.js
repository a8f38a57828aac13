// Putting the picked suggestion into the set: rendered by the engine, made clips by Live.
//
// A session clip gets 1, 2, 4, 8 or 16 whole bars, so that Live reads the right tempo out of the
// file, beginning where the selected clip begins. An arrangement clip gets all its bars, at its own
// place to the sample. Where Live takes no file, the file to drag in is shown.

var Insert = (function () {
    var job = null;
    var made = []; // ids of the clips of this device
    var TEMPO_STEP = 0.01; // BPM
    var SAME_TEMPO = 0.005; // share by which an estimated tempo may be off
    var atWork = false; // what Live notifies now is our own doing

    function press() {
        var one = Results.picked();
        var clip;
        if (!one || !Clip.now()) {
            Picture.say(Words.pickFirst);
            return;
        }
        if (job) {
            return;
        }
        clip = Clip.fresh();
        if (!clip || clip.altered) {
            Clip.missed();
            return;
        }
        Session.tell();
        job = {
            one: one, clip: clip, clipId: clip.clipId, liveId: clip.id, arranged: clip.arranged,
            offset: Results.offset(), offsetAt: Session.tempo(),
            kinds: Tracks.canCreate() === "no" ? "wav alc" : "wav"
        };
        plan();
        render();
    }

    // Where the stems go at the tempo that the set has now.
    function plan() {
        var beats = job.offset;
        job.tempo = Session.tempo();
        if (!job.clip.warped) {
            beats *= job.tempo / job.offsetAt; // its bars keep their seconds
        }
        if (job.arranged) {
            planArranged(beats);
        } else {
            planLoop(beats);
        }
        job.beats = job.bars * Session.barBeats();
    }

    function planLoop(offset) {
        var whole = Math.max(1, Math.floor(job.one.bars));
        job.scene = job.clip.scene;
        job.at = 0;
        job.cut = 0;
        job.startBeat = -offset;
        job.bars = BARS.filter(function (count) { return count <= whole; }).pop();
    }

    // Beat of a loop that is heard first, so that launched together it stays under its clip.
    function firstHeard() {
        var inside = job.clip.playsFrom - job.clip.start;
        return job.arranged ? 0 : (inside % job.beats + job.beats) % job.beats;
    }

    // Bars that would lie before the song are left out, of a last one the beginning: then so many
    // beats are cut from the end, that it ends with its clip.
    function planArranged(offset) {
        var clip = job.clip;
        var bar = Session.barBeats();
        var inside = clip.start - clip.playsFrom;
        var at = clip.startTime + offset + (clip.warped ? inside : inside * job.tempo / 60);
        job.scene = 0;
        job.startBeat = 0;
        job.bars = Math.max(1, Math.floor(job.one.bars));
        while (at < 0 && job.bars > 1) {
            at += bar;
            job.startBeat += bar;
            job.bars -= 1;
        }
        job.cut = Math.max(0, -at);
        job.startBeat += job.cut;
        job.at = at + job.cut;
    }

    function render() {
        var real = Requests.real;
        job.files = [];
        Picture.say(Words.inserting);
        job.req = Requests.send(
            "/dawlink/render",
            [[job.one.ids, job.clipId, real(job.startBeat), real(job.bars), job.kinds]],
            { part: part, whole: whole, done: rendered, failed: failed, patient: true }
        );
    }

    function part(address, args) {
        if (address === "/dawlink/render/progress") {
            // In tenths: each distinct text stays in Max's memory.
            Picture.say(Words.inserting + " " + Format.percent(Math.round(10 * args[0]) / 10));
        } else if (address === "/dawlink/render/file") {
            job.files = job.files.filter(function (file) { return file.path !== args[1]; });
            job.files.push({ kind: args[0], path: args[1] });
        }
    }

    // Files that are told again come in order, so one that was lost is in its place then.
    function whole(args) {
        return job.files.length >= args[0];
    }

    function ofKind(kind) {
        return job.files.filter(function (file) { return file.kind === kind; });
    }

    function rendered(args) {
        var sounds = ofKind("wav");
        job.beats = args[3]; // as the engine counts, which takes no metre but whole beats
        job.from = firstHeard();
        if (!Live.point(Live.object("other"), job.liveId)) {
            job = null;
            Picture.say(Words.deleted);
        } else if (Math.abs(args[4] - Session.tempo()) > TEMPO_STEP) {
            atAnotherTempo();
        } else if (!whole(args)) {
            finish(false, 0, Words.filesLost);
        } else if (!sounds.length && !ofKind("alc").length) {
            finish(false, 0, Words.noFileMade);
        } else if (job.kinds !== "wav") {
            show();
        } else {
            insertAll(sounds);
        }
    }

    // The set has another tempo by now, or the engine did not hear of it, or it takes no such tempo.
    function atAnotherTempo() {
        if (job.again) {
            finish(false, 0, Words.otherTempo);
            return;
        }
        job.again = true;
        Session.retell();
        plan();
        render();
    }

    function insertAll(sounds) {
        atWork = true;
        try {
            makeClips(sounds);
        } catch (error) {
            job = null; // or nothing could be inserted any more
            throw error;
        } finally {
            outlet(LATER, "settled"); // comes back behind the notifications of what was just done
        }
    }

    function makeClips(sounds) {
        var ids;
        var found;
        ids = sounds.map(function (file, index) { return insertOne(file.path, index); });
        found = ids.map(function (id, index) { return Readback.settle(id, title(index), job); });
        made = made.concat(ids);
        if (ids.indexOf(0) >= 0) {
            job.kinds = "wav alc";
            render();
        } else if (found.some(function (one) { return !one.right; })) {
            finish(false, found[0].bpm, Words.mistaken);
        } else {
            finish(true, found[0].bpm, Session.inserted() + apart());
        }
    }

    // Told with the outcome: the stems are at the set's tempo, an unwarped clip may be at another.
    function apart() {
        var ratio = job.clip.bpm / job.tempo;
        var same = [0.5, 1, 2].some(function (times) {
            return Math.abs(ratio * times - 1) < SAME_TEMPO;
        });
        return job.clip.warped || !job.clip.bpm || same ? "" : Words.unwarped;
    }

    // Stems that are to sound together cannot share a track.
    function insertOne(path, index) {
        var own = chosen.target === 1 && index === 0 ? Tracks.onOwn(path, job) : 0;
        return own || Tracks.onNew(path, job, title(index));
    }

    function title(index) {
        var hit = job.one.hits[index] || job.one.hits[0];
        return hit.title + " (" + hit.role + ")";
    }

    // The file for the person to drag: a Live clip with its warp markers where there is one.
    function show() {
        var file = ofKind("alc")[0] || ofKind("wav")[0];
        var several = file.kind === "wav" && ofKind("wav").length > 1;
        finish(false, 0, (several ? Words.noInsertAll : Words.noInsert) + file.path);
    }

    function finish(ok, bpm, sentence) {
        job = null;
        report(ok, bpm, sentence);
    }

    function report(ok, bpm, sentence) {
        Requests.send("/dawlink/inserted", [[ok ? 1 : 0, Requests.real(bpm)]]);
        Picture.say(sentence);
    }

    function failed(code, sentence) {
        job = null;
        Picture.say(sentence);
    }

    // The clip that it was for is gone.
    function abandon() {
        if (job) {
            Requests.cancel(job.req);
            job = null;
        }
    }

    return {
        press: press,
        abandon: abandon,
        tick: function () {
            Readback.tick(function (bpm) { report(false, bpm, Words.mistaken); });
        },
        made: function (id) { return id > 0 && made.indexOf(id) >= 0; },
        atWork: function () { return atWork; },
        settled: function () { atWork = false; },
        drop: function () { job = null; }
    };
}());
