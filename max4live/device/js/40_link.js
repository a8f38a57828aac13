// The line to the engine: a port of our own, hello, pings, and what to do when nobody answers.
//
// udpreceive does not say whether a port was free, so the device sends itself a probe: the port is
// its own when the probe comes back.

var Link = (function () {
    var FIRST_PORT = 11111;
    var LAST_PORT = 11142;
    var PROBE_AGAIN = 3; // ticks
    var PROBE_LOST = 6;
    var HELLO_EVERY = 20;
    var PING_EVERY = 20;

    var state = "off"; // off, binding, calling, connected, refused
    var port = 0;
    var token = 0;
    var ticks = 0;
    var helloReq = 0;
    var wasConnected = false;
    var news = "";
    var engine = { version: "", songs: 0 };
    var shared = null;

    function start() {
        shared = typeof Global === "undefined" ? null : new Global("dawlink");
        outlet(OSC, "host", "127.0.0.1");
        bind(FIRST_PORT);
    }

    function taken(number) {
        return shared !== null && shared["port" + number] === 1;
    }

    function bind(number) {
        while (number <= LAST_PORT && taken(number)) {
            number += 1;
        }
        if (number > LAST_PORT) {
            state = "off";
            Picture.say(Words.noPort);
            return;
        }
        state = "binding";
        ticks = 0;
        port = number;
        token = Math.floor(Math.random() * 1e9);
        outlet(LISTEN, "port", port);
        probe();
    }

    function probe() {
        outlet(OSC, "port", port);
        outlet(OSC, "/dawlink/probe", token);
        outlet(OSC, "port", chosen.enginePort);
    }

    function probed(came) {
        if (state !== "binding" || came !== token) {
            return;
        }
        if (shared !== null) {
            shared["port" + port] = 1;
        }
        call(Words.calling);
    }

    function call(sentence) {
        state = "calling";
        ticks = 0;
        show();
        Picture.say(sentence);
        hello();
    }

    function hello() {
        // One greeting at a time: an answer to any of them is the answer.
        Requests.dropAll();
        helloReq = Requests.send(
            "/dawlink/hello",
            [["dawlink-device", VERSION, PROTOCOL, port, "amxd es5"]],
            { done: welcome, failed: refused, patient: true }
        );
    }

    function welcome(args) {
        var again = wasConnected;
        state = "connected";
        ticks = 0;
        wasConnected = true;
        engine = { version: args[1], songs: args[3] };
        show();
        Session.forget();
        Session.tell();
        news = again ? Words.restarted : "";
        Clip.again();
    }

    function refused(code, sentence) {
        if (code === 8) {
            state = "refused";
            Picture.say(Words.oldDevice);
        } else if (code !== 0) {
            Picture.say(sentence);
        }
    }

    function leave() {
        Audition.stop();
        Insert.drop();
        Clip.drop();
    }

    function lost(sentence) {
        if (state === "connected") {
            leave();
            call(sentence);
        }
    }

    function show() {
        if (state === "connected") {
            Picture.put("engine", "Engine " + engine.version + ", port " + chosen.enginePort +
                ", " + engine.songs + " songs");
        } else {
            Picture.put("engine", "No engine on port " + chosen.enginePort);
        }
    }

    function tick() {
        ticks += 1;
        if (state === "binding") {
            if (ticks === PROBE_AGAIN) {
                probe();
            } else if (ticks >= PROBE_LOST) {
                bind(port + 1);
            }
        } else if (state === "calling" && ticks % HELLO_EVERY === 0) {
            if (ticks === HELLO_EVERY) {
                Picture.say(Words.noEngine);
            }
            hello();
        } else if (state === "connected" && ticks % PING_EVERY === 0) {
            ping();
        }
    }

    function ping() {
        Requests.send("/dawlink/ping", [[]], {
            failed: function () { lost(Words.noEngine); }
        });
    }

    // What happened to the line, told once, when there is a quiet moment to read it.
    function takeNews() {
        var sentence = news;
        news = "";
        return sentence;
    }

    function enginePort(number) {
        if (number >= 1024 && number <= 65535 && number !== chosen.enginePort) {
            chosen.enginePort = number;
            if (state !== "off" && state !== "binding") {
                outlet(OSC, "port", number);
                wasConnected = false;
                leave();
                call(Words.calling);
            }
        }
    }

    function close() {
        if (state === "connected") {
            Requests.send("/dawlink/bye", [[]]);
        }
        if (shared !== null && port) {
            shared["port" + port] = 0;
        }
        state = "off";
    }

    return {
        start: start,
        probed: probed,
        tick: tick,
        lost: lost,
        takeNews: takeNews,
        enginePort: enginePort,
        close: close,
        connected: function () { return state === "connected"; },
        songs: function (count) { engine.songs = count; show(); }
    };
}());
