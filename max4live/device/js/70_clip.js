// The clip that is asked for: the one in Live's clip view, read when the selection changes.
//
// Region: loop points when looping, else the markers; beats when warped, seconds when not. Warp
// markers are sent as they are. A warped clip is sent twice: the engine can only analyse it along
// markers that it has.

var Clip = (function () {
    var RE_PITCH = 3; // Live's number of the warp mode
    var now = null; // what was read last, null when there is no usable clip
    var sent = null; // how the engine was told of it
    var lastId = 0;
    var running = 0; // req of the request in flight
    var wanted = false; // suggest once the clip is understood

    function selectedId() {
        var id = Live.ids(Live.object("view"), "detail_clip")[0];
        if (!id) {
            id = Live.ids(Live.object("view"), "highlighted_clip_slot")[0];
            id = id && Live.point(Live.object("slot"), id) ?
                Live.ids(Live.object("slot"), "clip")[0] : 0;
        }
        return id || 0;
    }

    // Reads the selection; `ask` says that the person wants suggestions, whatever `follow` says.
    function select(ask) {
        var id;
        var read;
        if (!Link.connected()) {
            return;
        }
        id = selectedId();
        if (Insert.made(id) && !ask) {
            return;
        }
        if (!id || !Live.point(Live.object("clip"), id)) {
            nothing();
            return;
        }
        read = readClip(Live.object("clip"), id);
        lastId = id;
        if (read.refusal) {
            forget();
            Picture.put("clip", read.name);
            Picture.say(read.refusal);
            return;
        }
        if (now && now.clipId && same(now, read)) {
            if (ask) {
                Results.ask();
            }
            return;
        }
        forget();
        now = read;
        wanted = ask || chosen.follow === 1;
        Picture.put("clip", read.name);
        introduce();
    }

    // The list stays while its clip is there: a click beside the clip is no reason to lose it.
    function nothing() {
        var gone = lastId !== 0 && !Live.point(Live.object("other"), lastId);
        if (gone) {
            Insert.abandon();
            forget();
            lastId = 0;
            Picture.put("clip", "");
        }
        Picture.say(gone ? Words.deleted : Words.none);
    }

    // Why there is nothing to hear or insert: the clip has gone, or is another one now.
    function missed() {
        if (now && now.altered && Live.point(Live.object("clip"), now.id)) {
            Picture.say(Words.altered);
        } else {
            nothing();
        }
    }

    // The clip where it lies now, it may have been moved or trimmed; null when it has gone. Its
    // gain is told again. `altered` says that the suggestions were made for something else.
    function fresh() {
        var api = Live.object("clip");
        var read;
        if (!now || !now.clipId || !Live.point(api, now.id)) {
            return null;
        }
        read = readClip(api, now.id);
        now.altered = heard(now) !== heard(read);
        if (!now.altered) {
            now.startTime = read.startTime;
            now.playsFrom = read.playsFrom;
            now.scene = read.scene;
            tellGain(read.gain);
        }
        return now;
    }

    function tellGain(gain) {
        if (now.gain !== gain) {
            now.gain = gain;
            send();
        }
    }

    function readClip(api, id) {
        var read = { id: id, clipId: "", name: Live.text(api, "name") };
        if (Live.number(api, "is_audio_clip") !== 1) {
            read.refusal = Words.midi;
        } else if (Live.number(api, "is_recording") === 1) {
            read.refusal = Words.recording;
        } else {
            read.path = Live.text(api, "file_path");
            read.refusal = read.path ? "" : Words.noFile;
        }
        if (!read.refusal) {
            readRegion(api, read);
            read.name = read.name || Format.fileName(read.path);
        }
        return read;
    }

    function readRegion(api, read) {
        var looping = Live.number(api, "looping") === 1;
        var length = fileLength(api);
        read.warped = Live.number(api, "warping");
        read.start = Live.number(api, looping ? "loop_start" : "start_marker");
        read.end = Live.number(api, looping ? "loop_end" : "end_marker");
        read.playsFrom = Live.number(api, "start_marker");
        read.markers = read.warped ? markers(api, length) : [];
        if (!read.warped && length > 0) {
            read.end = Math.min(read.end, length);
        }
        read.pitch = pitch(api, read.markers);
        read.gain = gainDb(Live.text(api, "gain_display_string"));
        read.arranged = Live.number(api, "is_arrangement_clip") === 1;
        read.startTime = read.arranged ? Live.number(api, "start_time") : 0;
        read.scene = sceneOf(String(api.path));
    }

    // Semitones by which Live transposes the clip. In Re-Pitch the pitch follows the tempo, as a
    // record's does, and the clip's own transposition has no effect.
    function pitch(api, markers) {
        var first = markers[0];
        var last = markers[markers.length - 1];
        var faster;
        if (markers.length < 2 || Live.number(api, "warp_mode") !== RE_PITCH) {
            return Live.number(api, "pitch_coarse");
        }
        faster = Session.tempo() * (last[0] - first[0]) / (60 * (last[1] - first[1]));
        return Math.max(-48, Math.min(48, Math.round(12 * Math.log(faster) / Math.LN2)));
    }

    // Seconds; 0 where this Live does not know the sample rate.
    function fileLength(api) {
        var rate = Live.knows("clip", "sample_rate") ? Live.number(api, "sample_rate") : 0;
        return rate > 1 ? Live.number(api, "sample_length") / rate : 0;
    }

    // "-6.0 dB"; "-inf dB" is as good as silent.
    function gainDb(text) {
        var found = parseFloat(String(text).replace(",", ".").replace("\u2212", "-"));
        if ((/inf/i).test(text)) {
            return -70;
        }
        return isFinite(found) ? found : 0;
    }

    function sceneOf(path) {
        var found = (/clip_slots (\d+)/).exec(path);
        return found ? Number(found[1]) : 0;
    }

    // [[seconds, beat], ...], rising, with Live's last, unseen marker.
    function markers(api, length) {
        var found = [];
        var raw = parsed(Live.text(api, "warp_markers"));
        var i;
        var last = null;
        for (i = 0; i < raw.length; i += 1) {
            if (!last || (raw[i].sample_time > last[0] && raw[i].beat_time > last[1])) {
                last = [Number(raw[i].sample_time), Number(raw[i].beat_time)];
                found.push(last);
            }
        }
        return length > 0 ? inSeconds(found, length, Live.number(api, "sample_rate")) : found;
    }

    function parsed(text) {
        var found;
        try {
            found = JSON.parse(text);
        } catch (broken) {
            return [];
        }
        return (found && found.warp_markers) || [];
    }

    // Live gives seconds. Should it ever give samples, no marker would lie near the file.
    function inSeconds(found, length, rate) {
        var i;
        if (found.length && found[found.length - 1][0] > 100 * (length + 60)) {
            for (i = 0; i < found.length; i += 1) {
                found[i][0] /= rate;
            }
        }
        return found;
    }

    function same(one, other) {
        return signature(one) === signature(other);
    }

    function signature(read) {
        return [read.id, heard(read), read.gain, read.arranged, read.startTime,
            read.playsFrom].join(" ");
    }

    // What suggestions are made for.
    function heard(read) {
        return [read.path, read.warped, read.start, read.end, read.pitch,
            (read.markers || []).join(" ")].join(" ");
    }

    function introduce() {
        Picture.say(Words.listening);
        Session.tell();
        sent = asSent(now);
        send(sent.warped && sent.markers.length > 1 ? sendMarkers : understood);
    }

    // As the engine is to take the clip: as Live has it, or, where a person has corrected the tempo
    // of an unwarped clip, as if it were warped with that one tempo.
    function asSent(read) {
        var fixed = read.correction;
        var bar = Session.barBeats();
        var beatS;
        var first;
        if (!fixed) {
            return read;
        }
        beatS = 60 / fixed.bpm;
        first = Math.max(0, Math.ceil(-fixed.downbeat / (bar * beatS))) * bar;
        return {
            warped: 1,
            start: (read.start - fixed.downbeat) / beatS,
            end: (read.end - fixed.downbeat) / beatS,
            markers: [first, first + bar].map(function (beat) {
                return [fixed.downbeat + beat * beatS, beat];
            })
        };
    }

    function send(then) {
        var real = Requests.real;
        running = Requests.send(
            "/dawlink/clip",
            [[now.path, sent.warped, real(sent.start), real(sent.end), now.pitch, real(now.gain)]],
            { done: then, failed: failed, patient: true }
        );
    }

    function sendMarkers(args) {
        var messages = [];
        var count = sent.markers.length;
        var i;
        for (i = 0; i < count; i += 1) {
            messages.push([args[0], i, count,
                Requests.real(sent.markers[i][0]), Requests.real(sent.markers[i][1])]);
        }
        running = Requests.send("/dawlink/clip/warp", messages, {
            done: function () { send(understood); }, failed: failed, patient: true
        });
    }

    function understood(args) {
        running = 0;
        now.clipId = args[0];
        now.bpm = args[1];
        Picture.put("tempo", Format.bpm(args[1]));
        Picture.put("clipkey", Format.key(args[2], args[3]));
        if (wanted) {
            Results.ask();
        } else {
            Picture.say(Link.takeNews() || Words.ready);
        }
    }

    function failed(code, sentence) {
        forget();
        Picture.say(sentence);
    }

    // factor 2 or 0.5: an unwarped clip's beats are counted twice or half as fast. A warped clip's
    // tempo is no estimate; Live itself can correct it.
    function correct(factor) {
        var bpm = now && now.clipId ? now.bpm * factor : 0;
        if (!bpm) {
            Picture.say(Words.none);
        } else if (now.warped) {
            Picture.say(Words.warpedTempo);
        } else if (bpm < 20 || bpm > 400) {
            Picture.say(Words.noTempo);
        } else {
            now.correction = { bpm: bpm, downbeat: downbeat() };
            now.clipId = "";
            wanted = true;
            Results.clear();
            introduce();
        }
    }

    // Second of the file on which a bar begins, as the engine placed its suggestions.
    function downbeat() {
        if (now.correction) {
            return now.correction.downbeat;
        }
        return now.bar === undefined ? now.start : now.bar;
    }

    // Kept apart from the list, which may be empty by the time that it is needed.
    function keepBar(offset, tempo) {
        if (now && now.bar === undefined) {
            now.bar = now.start + offset * 60 / tempo;
        }
    }

    // Beats of the set, from beats that the engine counted in the clip as it was sent.
    function inSet(beats) {
        return now && now.correction ? beats * Session.tempo() / now.correction.bpm : beats;
    }

    function forget() {
        Requests.cancel(running);
        running = 0;
        now = null;
        Results.clear();
        Picture.put("tempo", "");
        Picture.put("clipkey", "");
    }

    return {
        select: select,
        correct: correct,
        inSet: inSet,
        keepBar: keepBar,
        drop: forget,
        again: function (ask) { now = null; select(ask === true); },
        fileLength: fileLength,
        markersOf: function (api) { return markers(api, fileLength(api)); },
        path: function () { return now ? now.path : ""; },
        now: function () { return now && now.clipId ? now : null; },
        fresh: fresh,
        missed: missed
    };
}());
