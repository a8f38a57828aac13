// What Live has made of a rendered file, and whether it plays on the grid.
//
// A session loop has to be warped, so Live guesses its tempo; the guess is read out of the warp
// markers, at once and again when Live may have analysed the file. A wrong one cannot be mended
// from here (Live ignores markers that a device writes), so such a clip is unwarped: it plays
// right, and does not loop. In the arrangement clips are unwarped anyway. Unwarping turns the end
// marker's unit from beats into seconds but leaves its number, so it is set to the file's end.

var Readback = (function () {
    var RIGHT_S = 0.005; // how far the last beat may lie off the grid [s]
    var LATER = 20; // ticks after which Live has analysed a file

    var watched = []; // { id, wanted }
    var ticks = 0;

    // `wanted` is { tempo, beats, arranged } of the render, `from`, the beat that is heard first,
    // and `cut`, the beats at the end that are not. Returns { bpm, right }; bpm is 0 where this Live does not tell.
    function settle(id, name, wanted) {
        var clip = Live.object("clip");
        if (!Live.point(clip, id)) {
            return { bpm: 0, right: false };
        }
        clip.set("name", name);
        return wanted.arranged ? inArrangement(clip, wanted) : inSession(clip, id, wanted);
    }

    function inSession(clip, id, wanted) {
        var found;
        clip.set("looping", 1);
        found = judged(tempoOfMarkers(clip), wanted);
        if (found.right) {
            clip.set("loop_start", 0);
            clip.set("loop_end", wanted.beats);
            clip.set("start_marker", wanted.from);
            watched.push({ id: id, wanted: wanted });
            ticks = 0;
        } else {
            unwarp(clip, wanted);
        }
        return found;
    }

    function unwarp(clip, wanted) {
        var beatS;
        clip.set("looping", 0);
        clip.set("warping", 0);
        if (Live.number(clip, "warping") === 0) {
            beatS = 60 / wanted.tempo;
            clip.set("end_marker",
                (Clip.fileLength(clip) || wanted.beats * beatS) - wanted.cut * beatS);
            clip.set("start_marker", wanted.from * beatS);
        }
    }

    // Seconds that were asked of the engine.
    function lengthOf(wanted) {
        return wanted.beats * 60 / wanted.tempo;
    }

    function inArrangement(clip, wanted) {
        var found;
        var seconds = Clip.fileLength(clip);
        unwarp(clip, wanted);
        found = judged(seconds > 0 ? 60 * wanted.beats / seconds : 0, wanted);
        return {
            bpm: found.bpm,
            right: Live.number(clip, "warping") === 0 && (found.bpm === 0 || found.right)
        };
    }

    function judged(bpm, wanted) {
        var off = Math.abs(bpm / wanted.tempo - 1) * lengthOf(wanted);
        return { bpm: bpm, right: off < RIGHT_S };
    }

    // Between Live's first two warp markers; 0 where there are none.
    function tempoOfMarkers(clip) {
        var markers = Clip.markersOf(clip);
        if (markers.length < 2) {
            return 0;
        }
        return 60 * (markers[1][1] - markers[0][1]) / (markers[1][0] - markers[0][0]);
    }

    // Looks once more; `misread(bpm)` is told of the first clip that Live has changed its mind on.
    function tick(misread) {
        var wrong;
        if (!watched.length) {
            return;
        }
        ticks += 1;
        if (ticks < LATER) {
            return;
        }
        wrong = watched.map(again).filter(function (bpm) { return bpm > 0; });
        watched = [];
        if (wrong.length) {
            misread(wrong[0]);
        }
    }

    // The wrong tempo; 0 when the clip is right, or not there, or a person has unwarped it.
    function again(one) {
        var clip = Live.object("other");
        var found;
        if (!Live.point(clip, one.id) || Live.number(clip, "warping") !== 1) {
            return 0;
        }
        found = judged(tempoOfMarkers(clip), one.wanted);
        if (found.right) {
            return 0;
        }
        unwarp(clip, one.wanted);
        return found.bpm;
    }

    return { settle: settle, tick: tick };
}());
