// What the engine has to know about the set: tempo, signature, key, project folder.
//
// Before Live 12.0.5 nobody can say whether the set's scale is meant (every new set says C major),
// so there the clip's own key counts unless the person chooses one.

var Session = (function () {
    var now = { tempo: 120, numerator: 4, denominator: 4, root: -1, scale: "Major", project: "" };
    var told = {};
    var bar = 4; // quarters that the engine counts in a bar
    var LONGEST_BAR = 12; // that it takes
    var playing = 0;
    var homeless = false; // the engine cannot use the project's folder

    function read() {
        var song = Live.object("song");
        now.tempo = Live.number(song, "tempo") || now.tempo;
        now.numerator = Live.number(song, "signature_numerator") || 4;
        now.denominator = Live.number(song, "signature_denominator") || 4;
        playing = Live.number(song, "is_playing");
        readKey(song);
        now.project = projectFolder(setPath(song));
    }

    function readKey(song) {
        now.root = -1;
        now.scale = "Major";
        if (chosen.key > 0) {
            now.root = (chosen.key - 1) % 12;
            now.scale = chosen.key <= 12 ? "Major" : "Minor";
        } else if (Live.knows("song", "scale_mode") && Live.number(song, "scale_mode") === 1) {
            now.root = Live.number(song, "root_note");
            now.scale = Live.text(song, "scale_name") || "Major";
        }
    }

    // Path of the set; empty when it was never saved, null when this Live does not say.
    function setPath(song) {
        return Live.knows("song", "file_path") ? Live.text(song, "file_path") : null;
    }

    // Only where this Live does not say where its set lies, the clip's file does: a set that was
    // never saved may play a file of another project, where nothing must be put.
    function projectFolder(path) {
        return projectOf(path === null ? Clip.path() : path);
    }

    // A set lies in its project's folder, its samples in `<project>/Samples`.
    function projectOf(path) {
        var samples = (/^(.* Project)[\/\\]Samples[\/\\]/).exec(path || "");
        if (samples) {
            return samples[1];
        }
        return (/\.als$/i).test(path || "") ? path.replace(/[\/\\][^\/\\]*$/, "") : "";
    }

    // Sends what the engine does not know yet.
    function tell() {
        if (!Link.connected()) {
            return;
        }
        read();
        say("/dawlink/set/tempo", [Requests.real(now.tempo)]);
        say("/dawlink/set/signature", [now.numerator, now.denominator]);
        bar = wholeBar() || bar;
        say("/dawlink/set/key", [now.root, now.scale]);
        say("/dawlink/set/project", [now.project]);
    }

    // Quarters of the set's bar; 0 where the engine refuses it and keeps its own.
    function wholeBar() {
        var quarters = now.numerator * 4 / now.denominator;
        return quarters === Math.floor(quarters) && quarters <= LONGEST_BAR ? quarters : 0;
    }

    // What a person has to know of the metre, behind another sentence.
    function metre() {
        return wholeBar() ? "" : " In " + now.numerator + "/" + now.denominator +
            " dawlink counts bars of " + bar + " quarters.";
    }

    function say(address, args) {
        var text = args.join(" ");
        if (text === "" && told[address] === undefined) {
            return;
        }
        if (told[address] !== text) {
            told[address] = text;
            homeless = homeless && address !== "/dawlink/set/project";
            Requests.put(address, args);
        }
    }

    // What was told of the set has no number; neither has the engine's refusal.
    function refused(name, sentence) {
        homeless = homeless || (/project$/).test(name);
        Picture.say(sentence);
    }

    return {
        read: read,
        tell: tell,
        refused: refused,
        // The engine has other values than it was told: a datagram was lost.
        retell: function () { told = {}; tell(); },
        forget: function () { told = {}; bar = 4; },
        tempo: function () { return now.tempo; },
        barBeats: function () { return bar; },
        metre: metre,
        playing: function () { return playing === 1; },
        // Where inserted files lie, as far as a person has to be told.
        inserted: function () {
            if (setPath(Live.object("song")) === "") {
                return Words.unsaved + metre();
            }
            return (homeless ? Words.elsewhere : Words.inserted) + metre();
        }
    };
}());
