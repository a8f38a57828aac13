// What the device's script finds around it in Max, small enough to see through: one Live set as a
// table of objects, and everything that leaves the script on a list. Prints one JSON line for each
// message out. The scenario follows after the script.

var inlet = 0;
var messagename = "";
var out = [];
var deferredCalls = [];
var posted = [];
var alive = false; // whether live.thisdevice has banged
var notifying = false;
var watchers = [];

function outlet() {
    var atoms = Array.prototype.slice.call(arguments);
    out.push(atoms);
    if (atoms[0] === 4) {
        deferredCalls.push(atoms.slice(1));
    }
}

function post(text) { posted.push(text); }

// id -> { path, info, values, children }
var set = {
    1: { path: "live_set", info: "property tempo property file_path property scale_mode function create_audio_track",
        values: { tempo: 120, signature_numerator: 4, signature_denominator: 4, root_note: 9,
            scale_name: "Minor", scale_mode: 1, is_playing: 0, current_song_time: 0,
            file_path: "/Users/me/Song Project/Song.als" },
        lists: { tracks: [10] } },
    2: { path: "live_set view", info: "", values: {},
        lists: { detail_clip: [20], highlighted_clip_slot: [11] } },
    3: { path: "this_device", info: "", values: {}, lists: { canonical_parent: [10] } },
    10: { path: "live_set tracks 0", info: "function create_audio_clip",
        values: { has_audio_input: 1, is_frozen: 0, is_foldable: 0, name: "Vocals" },
        lists: { clip_slots: [11, 12, 13], arrangement_clips: [] } },
    11: { path: "live_set tracks 0 clip_slots 0",
        info: "function create_clip function create_audio_clip",
        values: { has_clip: 1 }, lists: { clip: [20] } },
    12: { path: "live_set tracks 0 clip_slots 1", info: "function create_audio_clip",
        values: { has_clip: 0 }, lists: { clip: [] } },
    13: { path: "live_set tracks 0 clip_slots 2", info: "function create_audio_clip",
        values: { has_clip: 0 }, lists: { clip: [] } },
    20: { path: "live_set tracks 0 clip_slots 0 clip", info: "property sample_rate", lists: {},
        values: { name: "Verse", is_audio_clip: 1, is_recording: 0, warping: 1, looping: 1,
            loop_start: 4, loop_end: 20, start_marker: 0, end_marker: 32, pitch_coarse: -2, warp_mode: 4,
            gain_display_string: "-6.0 dB", sample_rate: 44100, sample_length: 882000,
            file_path: "/Users/me/a voice.wav", is_arrangement_clip: 0, is_playing: 0,
            warp_markers: '{"warp_markers": [{"sample_time": 0.5, "beat_time": 0}, ' +
                '{"sample_time": 8.5, "beat_time": 16}, ' +
                '{"sample_time": 8.515625, "beat_time": 16.03125}]}' } }
};
var nextId = 100;

function idOf(path) {
    var id;
    for (id in set) {
        if (set[id].path === path) {
            return Number(id);
        }
    }
    return 0;
}

function LiveAPI(callback, path) {
    if (!alive) {
        throw new Error("LiveAPI before live.thisdevice");
    }
    if (notifying) {
        throw new Error("LiveAPI in a notification");
    }
    this.callback = callback;
    this.at = idOf(path);
    if (callback) {
        watchers.push(this);
    }
}
Object.defineProperty(LiveAPI.prototype, "id", {
    get: function () { return set[this.at] ? String(this.at) : "0"; },
    set: function (id) { this.at = set[id] ? Number(id) : 0; }
});
Object.defineProperty(LiveAPI.prototype, "path", {
    get: function () { return '"' + (set[this.at] ? set[this.at].path : "") + '"'; }
});
Object.defineProperty(LiveAPI.prototype, "info", {
    get: function () { return set[this.at] ? set[this.at].info : ""; }
});
LiveAPI.prototype.get = function (name) {
    var object = set[this.at];
    if (notifying) {
        throw new Error("get in a notification");
    }
    if (!object) {
        return 1;
    }
    if (object.lists && object.lists[name]) {
        if (!object.lists[name].length) {
            return ["id", 0];
        }
        return object.lists[name].reduce(function (all, id) { return all.concat(["id", id]); }, []);
    }
    return object.values[name] === undefined ? 1 : [object.values[name]];
};
LiveAPI.prototype.set = function (name, value) {
    if (set[this.at]) {
        set[this.at].values[name] = value;
    }
};

// What Live makes of a new file; a scenario may replace it.
var liveReads = function () { return { bpm: 120, seconds: 16 }; };

function newClip(place, file, more) {
    var read = liveReads(file);
    var id = nextId += 1;
    set[id] = { path: place + " clip", info: "property sample_rate", lists: {}, values: {
        name: "", file_path: file, is_audio_clip: 1, warping: 1, looping: 0, loop_start: 0,
        loop_end: 4, start_marker: 0, end_marker: read.seconds * read.bpm / 60, start_time: 0, sample_rate: 1000, sample_length: read.seconds * 1000,
        warp_markers: JSON.stringify({ warp_markers: [
            { sample_time: 0, beat_time: 0 },
            { sample_time: read.seconds, beat_time: read.seconds * read.bpm / 60 }
        ] })
    } };
    Object.keys(more || {}).forEach(function (key) { set[id].values[key] = more[key]; });
    return id;
}

LiveAPI.prototype.call = function (name, one, two) {
    var object = set[this.at];
    var id;
    var slot;
    if (!object || !new RegExp("\\b" + name + "\\b").test(object.info)) {
        return 1;
    }
    if (name === "create_audio_track") {
        id = nextId += 1;
        slot = nextId += 1;
        set[slot] = { path: "live_set tracks " + id + " clip_slots 0",
            info: set[12].info, values: { has_clip: 0 }, lists: { clip: [] } };
        set[id] = { path: "live_set tracks " + id, info: set[10].info, values: { has_audio_input: 1 },
            lists: { clip_slots: [slot], arrangement_clips: [] } };
        object.lists.tracks.push(id);
    } else if (name === "create_audio_clip" && two === undefined) {
        object.values.has_clip = 1;
        object.lists.clip = [newClip(object.path, one)];
    } else if (name === "create_audio_clip") {
        object.lists.arrangement_clips.push(
            newClip(object.path, one, { start_time: two, is_arrangement_clip: 1 }));
    }
    return ["id", 0];
};

// The patch's part.
function flush() {
    var calls = deferredCalls;
    deferredCalls = [];
    calls.forEach(function (atoms) {
        inlet = 0;
        deferred.apply(this, atoms);
    });
}

function begin() {
    alive = true;
    inlet = 0;
    ready();
    flush();
}

function changed_in_live(property) {
    notifying = true;
    watchers.forEach(function (api) {
        if (api.property === property) {
            api.callback([property, 0]);
        }
    });
    notifying = false;
    flush();
}

function ticks(count) {
    var i;
    for (i = 0; i < count; i += 1) {
        inlet = 0;
        tick();
    }
}

function click() {
    inlet = 0;
    ui.apply(this, Array.prototype.slice.call(arguments));
}

function hear(address) {
    inlet = 1;
    messagename = address;
    anything.apply(this, Array.prototype.slice.call(arguments, 1));
    inlet = 0;
}

// The last message to an address, without outlet and address.
function sent(address) {
    var found = out.filter(function (atoms) { return atoms[0] === 0 && atoms[1] === address; });
    return found.length ? found[found.length - 1].slice(2) : null;
}

// The engine says yes to everything up to the analysed clip.
function connect() {
    begin();
    hear("/dawlink/probe", sent("/dawlink/probe")[0]);
    hear("/dawlink/welcome", sent("/dawlink/hello")[0], 1, "0.1.0", "suggest", 12);
}

function understand() {
    hear("/dawlink/clip/done", sent("/dawlink/clip")[0], "c7", 118.5, 9, "minor", 0.8);
    if (sent("/dawlink/clip/warp")) {
        hear("/dawlink/clip/warp/done", sent("/dawlink/clip/warp")[0], "c7");
        hear("/dawlink/clip/done", sent("/dawlink/clip")[0], "c7", 118.5, 9, "minor", 0.8);
    }
}

function hits(count, offset, bars) {
    var req = sent("/dawlink/suggest")[0];
    var rank;
    hear("/dawlink/suggest/begin", req, 2 * count);
    for (rank = 1; rank <= count; rank += 1) {
        hear("/dawlink/suggest/hit", req, rank, "s" + rank, 1 - rank / 20, "harmonic",
            "Song " + rank, 0.8167, -3, offset || 0, bars || 12);
        hear("/dawlink/suggest/hit", req, rank, "d" + rank, 1 - rank / 20, "percussion",
            "Song " + rank, 0.9, 0, offset || 0, bars || 12);
    }
    hear("/dawlink/suggest/end", req, 2 * count);
}
