// Every sentence that the device shows, and how numbers are written. Few different texts: Max keeps
// each distinct one in memory for ever.

var Words = {
    starting: "Starting.",
    noPort: "No free port from 11111 on. Remove a dawlink device, or restart Live.",
    calling: "Looking for the engine.",
    noEngine: "The engine is not running. In a terminal: dawlink serve. Or set its port.",
    stopped: "The engine was stopped. In a terminal: dawlink serve.",
    restarted: "The engine was restarted; the clip was sent again.",
    oldDevice: "Engine and device do not fit. Run: dawlink device install.",
    none: "Select an audio clip.",
    deleted: "The clip was deleted. Select another one.",
    altered: "The clip was changed. Press Suggest again.",
    midi: "This is a MIDI clip. Select an audio clip.",
    recording: "This clip is being recorded. Stop, then press Suggest.",
    noFile: "This clip has no file. Select another one.",
    listening: "Listening to the clip.",
    ready: "Press Suggest.",
    searching: "Searching.",
    nothing: "Nothing fits. Add songs: dawlink add FOLDER. Or choose other roles.",
    pick: "Pick one, then Audition or Insert.",
    pickFirst: "Pick a suggestion first.",
    auditionComing: "Preparing the audition.",
    auditionOn: "Playing in time with Live.",
    auditionFree: "Playing. Start Live's transport to hear it in time.",
    inserting: "Rendering.",
    inserted: "Inserted.",
    unsaved: "Inserted. The set is not saved, so the files lie in dawlink's output folder.",
    unwarped: " This clip is not warped: it does not follow the set's tempo.",
    elsewhere: "Inserted, into dawlink's output folder: the set's own folder cannot be used.",
    otherTempo: "Not inserted: the engine is not at the set's tempo. It takes 20 to 400 BPM.",
    mistaken: "Live misread the loop's tempo. Warp is off: it plays right, without a loop.",
    noInsert: "Live took no clip. Drag this file in: ",
    noInsertAll: "Live took no clip. Drag this file in, and the others beside it: ",
    noFileMade: "The render brought no file.",
    filesLost: "The engine did not name every file that it made. Press Insert again.",
    favourite: "Marked as a favourite.",
    rejected: "Rejected; it will not be shown again in this set.",
    warpedTempo: "This clip is warped: use :2 and *2 in Live's clip view.",
    noTempo: "That would be no tempo between 20 and 400 BPM.",
    lost: "The engine does not answer.",
    bug: "The device stumbled; see the Max console."
};

var Format = {
    bpm: function (value) {
        return value > 0 ? (Math.round(value * 10) / 10).toFixed(1) + " BPM" : "- BPM";
    },
    key: function (root, mode) {
        return root >= 0 && root < 12 ? NOTES[root] + " " + (mode || "major") : "no key";
    },
    percent: function (share) {
        return Math.round(100 * Math.max(0, Math.min(1, share))) + " %";
    },
    semitones: function (value) {
        return (value > 0 ? "+" : "") + value;
    },
    stretch: function (ratio) {
        return ratio.toFixed(2) + "x";
    },
    role: function (role) {
        return ROLE_WORDS[role] || role;
    },
    fileName: function (path) {
        return path.replace(/^.*[\/\\]/, "");
    }
};

// The picture: a value goes out only when it changed.
var Picture = (function () {
    var shown = {};

    function put() {
        var atoms = Array.prototype.slice.call(arguments);
        var value = atoms[atoms.length - 1] === "" ? " " : atoms[atoms.length - 1];
        var place = atoms.slice(0, -1).join(" ");
        if (shown[place] === value) {
            return;
        }
        shown[place] = value;
        outlet.apply(host, [PICTURE].concat(atoms.slice(0, -1), [value]));
    }

    return {
        put: put,
        say: function (sentence) { put("message", sentence); },
        // A person's click changed the control itself: what was shown last is not there any more.
        forget: function (place) { delete shown[place]; }
    };
}());
