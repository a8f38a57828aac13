/* Max's globals over a host that is spoken to in lines of JSON; then waits for what to do. */

var inlets = 1, outlets = 1, autowatch = 0, inlet = 0, messagename = "";
var jsarguments = ["dawlink.js"];

(function (global) {
  var callbacks = [];

  // A message comes in pieces: "+" says that more follows, "." that this is the last.
  function hear() {
    var text = "", line;
    do {
      line = readline();
      text += line.slice(1).replace(/\n$/, "");
    } while (line.charAt(0) === "+");
    return JSON.parse(text);
  }

  function say(message) { print(JSON.stringify(message)); }

  function host(name) {
    var args = [], i, heard;
    for (i = 1; i < arguments.length; i += 1) { args.push(arguments[i]); }
    say({ call: name, args: args });
    for (;;) {
      heard = hear();
      if (heard["do"] === "return") { return heard.value; }
      if (heard["do"] === "throw") { throw new Error(heard.message); }
      obey(heard);
    }
  }

  function told(error) {
    if (error && error.stackTrace) { return String(error) + error.stackTrace; }
    return error && error.stack ? String(error.stack) : String(error);
  }

  function obey(wish) {
    var value = null;
    try {
      if (wish["do"] === "load") { load(wish.path); }
      if (wish["do"] === "message") { value = message(wish); }
      if (wish["do"] === "callback") { callbacks[wish.number - 1].apply(wish.args); }
      if (wish["do"] === "get") { value = global[wish.name]; }
    } catch (error) {
      say({ error: told(error) });
      return;
    }
    say({ value: value === undefined ? null : value });
  }

  function message(wish) {
    var known = typeof global[wish.name] === "function" && wish.inlet === 0;
    global.inlet = wish.inlet;
    global.messagename = wish.name;
    if (known) { return global[wish.name].apply(global, wish.args); }
    if (typeof global.anything === "function") { return global.anything.apply(global, wish.args); }
    throw new Error("no function " + wish.name);
  }

  function atom(value) {
    if (typeof value === "number" && isFinite(value)) { return value; }
    if (typeof value === "string") { return value; }
    if (value instanceof Array) { return value; }
    throw new Error("outlet of what is no atom: " + value);
  }

  function list(values, from) {
    var found = [], i, j, item;
    for (i = from; i < values.length; i += 1) {
      item = atom(values[i]);
      if (item instanceof Array) {
        for (j = 0; j < item.length; j += 1) { found.push(atom(item[j])); }
      } else { found.push(item); }
    }
    return found;
  }

  global.outlet = function (number) { host("outlet", number, list(arguments, 1)); };

  global.post = function () {
    var text = [], i;
    for (i = 0; i < arguments.length; i += 1) { text.push(String(arguments[i])); }
    host("post", text.join(" "));
  };
  global.error = global.post;

  global.arrayfromargs = function () {
    var found = [], i, j, item;
    for (i = 0; i < arguments.length; i += 1) {
      item = arguments[i];
      if (item && typeof item === "object" && item.length !== undefined) {
        for (j = 0; j < item.length; j += 1) { found.push(item[j]); }
      } else { found.push(item); }
    }
    return found;
  };

  var shared = {};
  global.Global = function (name) {
    shared[name] = shared[name] || this;
    return shared[name];
  };

  function LiveAPI(callback, path) {
    var self = this, number = 0;
    if (typeof callback !== "function" && arguments.length === 1) { path = callback; callback = null; }
    if (typeof callback === "function") {
      callbacks.push({ apply: function (args) { callback.call(self, args); } });
      number = callbacks.length;
    }
    this.handle = host("new", number, path);
  }

  function asked(name) {
    return { get: function () { return host(name, this.handle); } };
  }

  Object.defineProperty(LiveAPI.prototype, "id", {
    get: function () { return host("id", this.handle); },
    set: function (value) { host("goto", this.handle, "id " + value); }
  });
  Object.defineProperty(LiveAPI.prototype, "path", {
    get: function () { return "\"" + host("path", this.handle) + "\""; },
    set: function (value) { host("goto", this.handle, value); }
  });
  Object.defineProperty(LiveAPI.prototype, "property", {
    get: function () { return this.observed || ""; },
    set: function (value) { this.observed = value; host("observe", this.handle, value); }
  });
  Object.defineProperty(LiveAPI.prototype, "unquotedpath", asked("path"));
  Object.defineProperty(LiveAPI.prototype, "info", asked("info"));
  Object.defineProperty(LiveAPI.prototype, "type", asked("kind"));
  Object.defineProperty(LiveAPI.prototype, "children", asked("children"));
  LiveAPI.prototype.goto = function (path) { host("goto", this.handle, path); };
  LiveAPI.prototype.getcount = function (name) { return host("count", this.handle, name); };
  LiveAPI.prototype.get = function (name) { return host("get", this.handle, name); };
  LiveAPI.prototype.getstring = function (name) { return String(this.get(name)); };
  LiveAPI.prototype.set = function (name) { return host("set", this.handle, name, list(arguments, 1)); };
  LiveAPI.prototype.call = function (name) { return host("call", this.handle, name, list(arguments, 1)); };
  global.LiveAPI = LiveAPI;

  say({ value: "ready" });
  for (;;) { obey(hear()); }
}(this));
