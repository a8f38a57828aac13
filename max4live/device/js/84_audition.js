// Hearing a suggestion inside the device, in time with Live.
//
// The engine renders a loop of whole bars at the set's tempo; the patch loads it into a buffer and
// reads it at a place that follows from Live's song position alone, so it stays in time through
// starts, jumps and loops. Where the transport stands, the loop runs freely.

var Audition = (function () {
    var SETTLED = 5; // ticks without a change of tempo before the loop is rendered again
    var GRID = 0.25; // clips are launched on it; Live reports their place a little late [beats]

    var on = false;
    var running = 0;
    var loop = null; // { bars, tempo, beats, offset }
    var sounding = 0;
    var steady = 0;

    function toggle(wanted) {
        Picture.forget("audition");
        if (!wanted) {
            stop();
        } else if (!Results.picked() || !Clip.now()) {
            Picture.put("audition", 0);
            Picture.say(Words.pickFirst);
        } else {
            on = true;
            ask();
        }
    }

    function ask() {
        var one = Results.picked();
        var bars = Math.max(1, Math.min(BARS[chosen.bars] || 8, Math.floor(one.bars) || 1));
        var clip = Clip.fresh();
        if (!clip || clip.altered) {
            stop();
            Clip.missed();
            return;
        }
        Session.tell();
        Requests.cancel(running);
        loop = {
            bars: bars, tempo: Session.tempo(), beats: bars * Session.barBeats(), offset: Results.offset()
        };
        Picture.put("audition", 1);
        Picture.say(Words.auditionComing);
        running = Requests.send(
            "/dawlink/audition",
            [[one.ids, clip.clipId, Requests.real(bars), chosen.withClip]],
            { done: rendered, failed: failed, patient: true }
        );
    }

    function rendered(args) {
        running = 0;
        if (on) {
            outlet(SOUND, "load", args[0].replace(/\\/g, "/"));
        }
    }

    function loaded() {
        if (on && loop) {
            outlet(SOUND, "loop", loop.beats, 60000 / loop.tempo, phase());
            sounding = 0;
            follow();
        }
    }

    // Beats to add to the song position, so that the loop begins where the clip's first bar does.
    function phase() {
        var start = firstBar();
        return ((-start % loop.beats) + loop.beats) % loop.beats;
    }

    function firstBar() {
        var clip = Clip.now();
        var api = Live.object("clip");
        if (!clip || !Live.point(api, clip.id)) {
            return 0;
        }
        if (clip.arranged) {
            return Live.number(api, "start_time") + beatsFrom(clip, clip.playsFrom, clip.start) + loop.offset;
        }
        if (Live.number(api, "is_playing") !== 1 || !Session.playing()) {
            return 0;
        }
        return launchedAt(clip, api) + loop.offset;
    }

    // Song position at which the region of a playing session clip began.
    function launchedAt(clip, api) {
        var song = Live.number(Live.object("song"), "current_song_time");
        var inside = beatsFrom(clip, clip.start, Live.number(api, "playing_position"));
        return Math.round((song - inside) / GRID) * GRID;
    }

    function beatsFrom(clip, from, to) {
        return clip.warped ? to - from : (to - from) * Session.tempo() / 60;
    }

    function follow() {
        var wanted = Session.playing() ? 1 : 2;
        if (on && sounding !== wanted) {
            sounding = wanted;
            outlet(SOUND, "play", wanted);
            Picture.say((wanted === 1 ? Words.auditionOn : Words.auditionFree) + Session.metre());
        }
    }

    function failed(code, sentence) {
        running = 0;
        stop();
        if (code !== 7) {
            Picture.say(sentence);
        }
    }

    function stop() {
        Requests.cancel(running);
        running = 0;
        if (on) {
            outlet(SOUND, "play", 0);
        }
        on = false;
        sounding = 0;
        Picture.put("audition", 0);
    }

    // The tempo moved away from the loop's: once it rests, the loop is made again.
    function tick() {
        if (on && loop && Math.abs(Session.tempo() - loop.tempo) > 1e-4 * loop.tempo) {
            steady += 1;
            if (steady >= SETTLED) {
                steady = 0;
                ask();
            }
        } else {
            steady = 0;
        }
    }

    function again() {
        if (on && Results.picked() && Clip.now()) {
            ask();
        }
    }

    return {
        toggle: toggle, stop: stop, tick: tick, loaded: loaded, picked: again, changed: again,
        transport: function () { if (on && sounding) { follow(); } },
        tempoMoved: function () { steady = 0; }
    };
}());
