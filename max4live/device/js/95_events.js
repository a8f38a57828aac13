// What Max calls: one global function for each message of ../README.md.

// An error in here must never leave the device mute.
var guarded = { on: false };

guarded.run = function (work) {
    try {
        work();
    } catch (error) {
        post("dawlink: " + error + "\n");
        Picture.say(Words.bug);
    }
};

function ready() {
    if (inlet !== 0 || guarded.on) {
        return;
    }
    guarded.run(function () {
        guarded.on = true;
        Picture.say(Words.starting);
        Live.start();
        Session.read();
        Link.start();
    });
}

function tick() {
    if (inlet !== 0 || !guarded.on) {
        return;
    }
    guarded.run(function () {
        Requests.tick();
        Link.tick();
        Audition.tick();
        Insert.tick();
    });
}

function deferred(what, property) {
    if (inlet !== 0 || !guarded.on) {
        return;
    }
    if (what === "settled") {
        Insert.settled();
    } else if (what === "changed") {
        guarded.run(function () { changed(property); });
    }
}

function changed(property) {
    if (property === "detail_clip") {
        if (!Insert.atWork() && (chosen.follow === 1 || !Clip.now())) {
            Clip.select(false);
        }
        return;
    }
    Session.read();
    Session.tell();
    if (property === "is_playing") {
        Audition.transport();
    } else if (property === "tempo") {
        Audition.tempoMoved();
    }
}
changed.local = 1;

function loaded() {
    if (inlet === 0 && guarded.on) {
        guarded.run(Audition.loaded);
    }
}

function restore() {
    var atoms = Array.prototype.slice.call(arguments);
    if (inlet === 0) {
        guarded.run(function () { Results.restore(atoms); });
    }
}

function closing() {
    if (inlet === 0 && guarded.on) {
        guarded.on = false;
        Link.close();
    }
}

function ui(name, value) {
    if (inlet !== 0) {
        return;
    }
    guarded.run(function () {
        if (Choices[name]) {
            Choices[name](Number(value));
        } else if (guarded.on && Actions[name]) {
            Actions[name](Number(value));
        }
    });
}

// Restored by Live before `ready`: then only remembered.
var Choices = {
    engineport: function (value) { Link.enginePort(value); },
    follow: function (value) { chosen.follow = value; },
    key: function (value) {
        chosen.key = value;
        if (guarded.on) {
            Session.tell();
            Results.ask();
        }
    },
    roles: function (value) {
        chosen.roles = value;
        if (guarded.on) {
            Results.ask();
        }
    },
    withclip: function (value) { chosen.withClip = value; Audition.changed(); },
    bars: function (value) { chosen.bars = value; Audition.changed(); },
    target: function (value) { chosen.target = value; }
};

var Actions = {
    suggest: function () { Clip.select(true); },
    half: function () { Clip.correct(0.5); },
    "double": function () { Clip.correct(2); },
    row: function (value) { Results.pick(value); },
    previous: function () { Results.turn(-1); },
    next: function () { Results.turn(1); },
    audition: function (value) { Audition.toggle(value === 1); },
    insert: function () { Insert.press(); },
    favourite: function () { Results.favour(); },
    reject: function () { Results.reject(); }
};

// OSC. The address is the selector.
function anything() {
    var args = Array.prototype.slice.call(arguments);
    var address = messagename;
    if (inlet !== 1 || !guarded.on) {
        return;
    }
    guarded.run(function () { heard(address, args); });
}

function heard(address, args) {
    if (address === "/dawlink/probe") {
        Link.probed(args[0]);
    } else if (address === "/dawlink/event/shutdown") {
        Link.lost(Words.stopped);
    } else if (address === "/dawlink/event/library") {
        Link.songs(args[0]);
    } else if (address === "/dawlink/error" && args[0] === 0) {
        Session.refused(args[2], args[3]);
    } else {
        Requests.answered(address, args);
    }
}
heard.local = 1;
