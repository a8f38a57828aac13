// Where a rendered file can become a clip, and making it one.
//
// `place` is what Insert planned, { arranged, scene, at, beats }: in the arrangement at beat `at`
// of the song for `beats`, or in the session from row `scene` on. Live says nothing when a call
// fails, so what was made is read back.

var Tracks = (function () {
    var SAME_PLACE = 0.001; // beats

    // "yes", "no" (Live before 11.3.25, 12.0.0 to 12.0.2), or "try" where Live does not tell.
    function canCreate() {
        var track = Live.ids(Live.object("song"), "tracks")[0];
        var slots;
        if (!track || !Live.point(Live.object("track"), track)) {
            return "try";
        }
        slots = Live.ids(Live.object("track"), "clip_slots");
        Live.point(Live.object("slot"), slots[0] || 0);
        return Live.can(Live.object("slot"), "create_audio_clip");
    }

    // Id of the clip on a track made for it; 0 when Live took none.
    function onNew(path, place, name) {
        var song = Live.object("song");
        var before = Live.ids(song, "tracks").length;
        var after;
        song.call("create_audio_track", -1);
        after = Live.ids(song, "tracks");
        if (after.length <= before || !Live.point(Live.object("track"), after[after.length - 1])) {
            return 0;
        }
        Live.object("track").set("name", name);
        return create(path, place);
    }

    // Id of the clip on the device's own track, when that can take it; 0 otherwise.
    function onOwn(path, place) {
        var track = Live.object("track");
        var id = Live.ids(Live.object("device"), "canonical_parent")[0];
        if (!id || !Live.point(track, id) || Live.number(track, "has_audio_input") !== 1 ||
                Live.number(track, "is_frozen") === 1 || Live.number(track, "is_foldable") === 1) {
            return 0;
        }
        return place.arranged && covers(track, place) ? 0 : create(path, place);
    }

    // Whether a clip lies where the new one would: Live would overwrite it.
    function covers(track, place) {
        var end = place.at + place.beats;
        return Live.ids(track, "arrangement_clips").some(function (id) {
            var other = Live.object("other");
            return Live.point(other, id) && Live.number(other, "start_time") < end &&
                Live.number(other, "end_time") > place.at;
        });
    }

    function create(path, place) {
        return place.arranged ? inArrangement(path, place) : inSlot(path, place);
    }

    // The clip's own scene on a new track; the first free slot from there on the device's track.
    function inSlot(path, place) {
        var slot = Live.object("slot");
        var id = freeSlot(place.scene);
        // Return tracks and the main track have no slots, and get none with a scene.
        if (!id && Live.ids(Live.object("track"), "clip_slots").length) {
            Live.object("song").call("create_scene", -1);
            id = freeSlot(place.scene);
        }
        if (!id || !Live.point(slot, id)) {
            return 0;
        }
        slot.call("create_audio_clip", path);
        return Live.number(slot, "has_clip") === 1 ? Live.ids(slot, "clip")[0] || 0 : 0;
    }

    function freeSlot(scene) {
        return Live.ids(Live.object("track"), "clip_slots").slice(scene).filter(function (id) {
            return Live.point(Live.object("slot"), id) &&
                Live.number(Live.object("slot"), "has_clip") === 0;
        })[0] || 0;
    }

    // Found by its place, never by its index: the list is in no useful order.
    function inArrangement(path, place) {
        var track = Live.object("track");
        var before = Live.ids(track, "arrangement_clips");
        track.call("create_audio_clip", path, place.at);
        return Live.ids(track, "arrangement_clips").filter(function (id) {
            return before.indexOf(id) < 0 && Live.point(Live.object("other"), id) &&
                Math.abs(Live.number(Live.object("other"), "start_time") - place.at) < SAME_PLACE;
        })[0] || 0;
    }

    return { canCreate: canCreate, onNew: onNew, onOwn: onOwn };
}());
