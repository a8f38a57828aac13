// Requests to the engine: numbered, sent again until something answers, ended exactly once.
//
// A datagram may be lost in either direction; the same `req` sent again makes the engine say its
// answer again, so repeating is safe.

var Requests = (function () {
    // Starts at another number in every run, so that no answer of an earlier run is taken.
    var next = (Math.floor(new Date().getTime() / 1000) % 1000000) * 1000 + 1;
    var open = {};
    var waiting = [];
    var BURST = 128; // datagrams at a time; more at once may overrun a socket's buffer
    var TRIES = 5;
    var WAIT = 10; // ticks
    var PATIENT_WAIT = 30;

    // As `f` on the wire, whatever the value (see README, "Numbers on the wire").
    function real(value) {
        if (value === 0) {
            return 1e-60;
        }
        return value === Math.floor(value) ? value * (1 + 1e-12) : value;
    }

    function put(address, args) {
        outlet.apply(host, [OSC, address].concat(args));
    }

    function transmit(request) {
        var i;
        for (i = 0; i < request.messages.length; i += 1) {
            waiting.push([request.address, [request.req].concat(request.messages[i])]);
        }
        drain();
    }

    function drain() {
        var count = Math.min(BURST, waiting.length);
        var i;
        for (i = 0; i < count; i += 1) {
            put(waiting[i][0], waiting[i][1]);
        }
        waiting = waiting.slice(count);
    }

    // `messages` are argument lists without the number. `on` may have done(args), part(address,
    // args), failed(code, sentence, name), whole(args), false when the end came but a part did not:
    // then all is asked for again, and `patient` for work that may take any time: it is given up
    // only when the engine does not answer pings either.
    function send(address, messages, on) {
        var request = {
            req: next, address: address, messages: messages, on: on || {}, age: 0, tries: 1
        };
        request.asked = 1; // for the parts
        request.wait = request.on.patient ? PATIENT_WAIT : WAIT;
        next += 1;
        open[request.req] = request;
        transmit(request);
        return request.req;
    }

    function ended(address) {
        return (/\/(done|end|pong|welcome|cancelled)$/).test(address);
    }

    function answered(address, args) {
        var request = open[args[0]];
        if (!request) {
            return;
        }
        request.age = 0;
        if (address === "/dawlink/error") {
            delete open[request.req];
            fail(request, args[1], args[3], args[2]);
        } else if (ended(address) && lacks(request, address, args)) {
            request.asked += 1;
            transmit(request);
        } else if (ended(address)) {
            delete open[request.req];
            if (request.on.done && address !== "/dawlink/cancelled") {
                request.on.done(args.slice(1));
            }
        } else if (request.on.part) {
            request.on.part(address, args.slice(1));
        }
    }

    function lacks(request, address, args) {
        return request.on.whole && address !== "/dawlink/cancelled" && request.asked < TRIES &&
            !request.on.whole(args.slice(1));
    }

    function fail(request, code, sentence, name) {
        if (request.on.failed) {
            request.on.failed(code, sentence, name);
        }
    }

    function tick() {
        var numbers = Object.keys(open);
        var i;
        var request;
        drain();
        for (i = 0; i < numbers.length; i += 1) {
            request = open[numbers[i]];
            if (request) {
                request.age += 1;
                if (request.age >= request.wait) {
                    again(request);
                }
            }
        }
    }

    function again(request) {
        request.age = 0;
        request.tries += 1;
        if (request.on.patient || request.tries <= TRIES) {
            transmit(request);
            return;
        }
        delete open[request.req];
        fail(request, 0, Words.lost, "lost");
    }

    // Nobody wants the answer any more; the engine is told.
    function cancel(req) {
        if (open[req]) {
            delete open[req];
            send("/dawlink/cancel", [[req]]);
        }
    }

    return {
        real: real,
        put: put,
        send: send,
        answered: answered,
        tick: tick,
        cancel: cancel,
        dropAll: function () { open = {}; waiting = []; }
    };
}());
