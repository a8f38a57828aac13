// dawlink for Ableton Live: the device's script, ES5, one file made of the parts in this folder.
//
// The seam to Max is described in ../README.md. Units: beats are quarter notes, as in Live; times
// are seconds of a file; tick is 100 ms. Names of message handlers are those of part 95; every
// other name is an object, which Max cannot call.

autowatch = 0;
inlets = 2;
outlets = 6;

// Native functions have to be applied to the object that Max runs the script in.
var host = this;

var OSC = 0;
var LISTEN = 1;
var PICTURE = 2;
var SOUND = 3;
var LATER = 4;
var STORE = 5;

var PROTOCOL = 1;
var VERSION = "@VERSION@";

// What the person has chosen with the controls; Live restores them before `ready`.
var chosen = {
    enginePort: 11110,
    follow: 1,
    key: 0,
    roles: 0,
    withClip: 0,
    bars: 3,
    target: 0
};

var BARS = [1, 2, 4, 8, 16];
var ROLES = ["harmonic percussion", "harmonic", "percussion", "bass", "other", "*"];
var ROLE_WORDS = {
    harmonic: "harm", percussion: "drums", drums: "drums", bass: "bass", other: "other",
    vocals: "vocals", mix: "mix"
};
var NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
