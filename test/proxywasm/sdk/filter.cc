// The filter of README.md in C++, on bindings of its own that are built as those of the C++ SDK:
// factories by root id that static objects register before anything is called, the root id asked
// for as a property, what the host gives freed with free(), abort() for what must not fail.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#define HOST(name)                                                                                 \
  extern "C" __attribute__((import_module("env"), import_name(#name))) uint32_t name
#define GUEST(name) extern "C" __attribute__((used, visibility("default"), export_name(#name)))

HOST(proxy_log)(uint32_t level, const char *text, size_t size);
HOST(proxy_set_tick_period_milliseconds)(uint32_t ms);
HOST(proxy_set_effective_context)(uint32_t context);
HOST(proxy_get_buffer_bytes)
(uint32_t kind, size_t start, size_t size, const char **out, size_t *out_size);
HOST(proxy_set_buffer_bytes)
(uint32_t kind, size_t start, size_t replaced, const char *bytes, size_t size);
HOST(proxy_get_header_map_pairs)(uint32_t map, const char **out, size_t *out_size);
HOST(proxy_get_header_map_value)
(uint32_t map, const char *key, size_t key_size, const char **out, size_t *out_size);
HOST(proxy_add_header_map_value)
(uint32_t map, const char *key, size_t key_size, const char *value, size_t size);
HOST(proxy_replace_header_map_value)
(uint32_t map, const char *key, size_t key_size, const char *value, size_t size);
HOST(proxy_remove_header_map_value)(uint32_t map, const char *key, size_t key_size);
HOST(proxy_get_property)(const char *path, size_t size, const char **out, size_t *out_size);
HOST(proxy_get_shared_data)
(const char *key, size_t key_size, const char **out, size_t *out_size, uint32_t *cas);
HOST(proxy_set_shared_data)
(const char *key, size_t key_size, const char *value, size_t size, uint32_t cas);
HOST(proxy_register_shared_queue)(const char *name, size_t size, uint32_t *out);
HOST(proxy_enqueue_shared_queue)(uint32_t queue, const char *value, size_t size);
HOST(proxy_dequeue_shared_queue)(uint32_t queue, const char **out, size_t *out_size);
HOST(proxy_define_metric)(uint32_t kind, const char *name, size_t size, uint32_t *out);
HOST(proxy_increment_metric)(uint32_t id, int64_t by);
HOST(proxy_record_metric)(uint32_t id, uint64_t value);
HOST(proxy_continue_stream)(uint32_t stream);
HOST(proxy_send_local_response)
(uint32_t status, const char *details, size_t details_size, const char *body, size_t body_size,
 const char *headers, size_t headers_size, uint32_t grpc_status);
HOST(proxy_http_call)
(const char *service, size_t service_size, const char *headers, size_t headers_size,
 const char *body, size_t body_size, const char *trailers, size_t trailers_size,
 uint32_t timeout_ms, uint32_t *out);

namespace {

using std::string;
using std::string_view;

constexpr const char *LANGUAGE = "cpp";
constexpr uint32_t OK = 0, CAS_MISMATCH = 8;
constexpr uint32_t REQUEST_MAP = 0, RESPONSE_MAP = 2, CALL_MAP = 6;
constexpr uint32_t REQUEST_BODY = 0, RESPONSE_BODY = 1, CALL_BODY = 4;
constexpr uint32_t VM_CONFIG = 6, PLUGIN_CONFIG = 7;
constexpr uint32_t CONTINUE = 0, PAUSE = 1;

void log(uint32_t level, string_view text) { proxy_log(level, text.data(), text.size()); }

#define EXPECT(call)                                                                               \
  do {                                                                                             \
    if ((call) != OK) {                                                                            \
      log(5, #call);                                                                               \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

/** What the host gave, freed with it. */
class Given {
public:
  ~Given() { ::free(const_cast<char *>(data)); }
  string_view view() const { return {data, size}; }
  const char *data = nullptr;
  size_t size = 0;
};

string buffer(uint32_t kind, size_t size) {
  Given given;
  proxy_get_buffer_bytes(kind, 0, size, &given.data, &given.size);
  return string(given.view());
}

void setBuffer(uint32_t kind, size_t start, size_t replaced, string_view bytes) {
  EXPECT(proxy_set_buffer_bytes(kind, start, replaced, bytes.data(), bytes.size()));
}

string header(uint32_t map, string_view key) {
  Given given;
  proxy_get_header_map_value(map, key.data(), key.size(), &given.data, &given.size);
  return string(given.view());
}

size_t countHeaders(uint32_t map) {
  Given given;
  EXPECT(proxy_get_header_map_pairs(map, &given.data, &given.size));
  if (given.data == nullptr) return 0;
  std::vector<std::pair<string_view, string_view>> pairs;
  const auto *sizes = reinterpret_cast<const uint32_t *>(given.data);
  const uint32_t count = *sizes++;
  const char *at = given.data + 4 + 8 * count;
  for (uint32_t index = 0; index < count; index++) {
    const string_view key(at, *sizes++);
    at += key.size() + 1;
    const string_view value(at, *sizes++);
    at += value.size() + 1;
    pairs.emplace_back(key, value);
  }
  return pairs.size();
}

void addHeader(uint32_t map, string_view key, string_view value) {
  EXPECT(proxy_add_header_map_value(map, key.data(), key.size(), value.data(), value.size()));
}

void replaceHeader(uint32_t map, string_view key, string_view value) {
  EXPECT(proxy_replace_header_map_value(map, key.data(), key.size(), value.data(), value.size()));
}

void removeHeader(uint32_t map, string_view key) {
  EXPECT(proxy_remove_header_map_value(map, key.data(), key.size()));
}

/** The path ends with a zero, as the SDK's does. */
string property(std::initializer_list<string_view> path) {
  string joined;
  for (const auto &name : path) {
    joined.append(name);
    joined.push_back('\0');
  }
  Given given;
  if (proxy_get_property(joined.data(), joined.size(), &given.data, &given.size) != OK) {
    return "none";
  }
  return string(given.view());
}

using Pairs = std::vector<std::pair<string, string>>;

string packed(const Pairs &pairs) {
  string bytes;
  const auto number = [&bytes](uint32_t value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
  };
  if (pairs.empty()) return bytes;
  number(pairs.size());
  for (const auto &[key, value] : pairs) {
    number(key.size());
    number(value.size());
  }
  for (const auto &[key, value] : pairs) {
    bytes.append(key.c_str(), key.size() + 1);
    bytes.append(value.c_str(), value.size() + 1);
  }
  return bytes;
}

void answer(uint32_t status, string_view details, string_view body, const Pairs &pairs) {
  const string headers = packed(pairs);
  EXPECT(proxy_send_local_response(status, details.data(), details.size(), body.data(),
                                   body.size(), headers.data(), headers.size(), UINT32_MAX));
}

/** Counts one hit in data that all instances share. */
uint64_t countHit() {
  const string_view key = "hits";
  for (;;) {
    Given given;
    uint32_t cas = 0;
    uint64_t before = 0;
    if (proxy_get_shared_data(key.data(), key.size(), &given.data, &given.size, &cas) == OK) {
      before = strtoull(string(given.view()).c_str(), nullptr, 10);
    }
    const string value = std::to_string(before + 1);
    const auto status =
        proxy_set_shared_data(key.data(), key.size(), value.data(), value.size(), cas);
    if (status == CAS_MISMATCH) continue;
    EXPECT(status);
    return before + 1;
  }
}

uint32_t metric(uint32_t kind, string_view name) {
  const string full = string(LANGUAGE) + "_" + string(name);
  uint32_t id = 0;
  EXPECT(proxy_define_metric(kind, full.data(), full.size(), &id));
  return id;
}

/** Maps, sorting, 64-bit and floating-point arithmetic, and some megabytes: the same in every
 *  language. */
string work() {
  std::unordered_map<string, uint64_t> counts;
  uint64_t state = 0x9e3779b97f4a7c15;
  for (int index = 0; index < 3000; index++) {
    state = state * 6364136223846793005 + 1442695040888963407;
    counts["w" + std::to_string((state >> 33) % 700)] += 1;
  }
  const std::map<string, uint64_t> sorted(counts.begin(), counts.end());
  uint64_t hash = 0xcbf29ce484222325;
  double sum = 0;
  for (const auto &[word, count] : sorted) {
    for (const unsigned char byte : word + ":" + std::to_string(count) + ";") {
      hash = (hash ^ byte) * 0x100000001b3;
    }
    sum += std::sqrt(static_cast<double>(count)) / 3.0;
  }
  std::vector<uint8_t> block(3 << 20, 1);
  for (size_t index = 0; index < block.size(); index += 4096) {
    block[index] = static_cast<uint8_t>(index >> 12);
  }
  const std::vector<uint8_t> copied(block);
  uint64_t checked = 0;
  for (size_t index = 0; index < copied.size(); index += 1024) checked += copied[index];
  char text[64];
  snprintf(text, sizeof text, "%016llx %lld %llu", static_cast<unsigned long long>(hash),
           static_cast<long long>(sum * 1000.0), static_cast<unsigned long long>(checked));
  return text;
}

class Root {
public:
  virtual ~Root() = default;
  virtual bool onConfigure() = 0;
  virtual void onTick() = 0;
  virtual void onQueueReady(uint32_t queue) = 0;

  std::unordered_map<uint32_t, std::function<void(size_t, size_t)>> calls;
};

class Stream {
public:
  virtual ~Stream() = default;
  virtual uint32_t onRequestHeaders(bool is_last) = 0;
  virtual uint32_t onRequestBody(size_t size, bool is_last) = 0;
  virtual uint32_t onResponseHeaders() = 0;
  virtual uint32_t onResponseBody(size_t size, bool is_last) = 0;
  virtual void onLog() = 0;
};

using RootFactory = std::function<std::unique_ptr<Root>()>;
using StreamFactory = std::function<std::unique_ptr<Stream>(uint32_t, Root *)>;
struct Factories {
  RootFactory root;
  StreamFactory stream;
};

std::unordered_map<string, Factories> *factories = nullptr;
std::unordered_map<uint32_t, std::unique_ptr<Root>> roots;
std::unordered_map<uint32_t, std::unique_ptr<Stream>> streams;
string root_id;

struct Register {
  Register(const string &id, RootFactory root, StreamFactory stream) {
    if (factories == nullptr) factories = new std::unordered_map<string, Factories>;
    (*factories)[id] = {std::move(root), std::move(stream)};
  }
};

class FilterRoot : public Root {
public:
  bool onConfigure() override {
    const string text = buffer(PLUGIN_CONFIG, SIZE_MAX);
    std::unordered_map<string, string> settings;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const string line = text.substr(at, end - at);
      const size_t equals = line.find('=');
      if (equals != string::npos) settings[line.substr(0, equals)] = line.substr(equals + 1);
      at = end + 1;
    }
    if (settings.count("greeting") == 0) {
      log(4, "no greeting");
      return false;
    }
    greeting = settings["greeting"];
    service = settings["service"];
    requests = metric(0, "requests");
    live = metric(1, "live");
    path_bytes = metric(2, "path_bytes");
    if (settings.count("tick") != 0) {
      EXPECT(proxy_set_tick_period_milliseconds(atoi(settings["tick"].c_str())));
      EXPECT(proxy_register_shared_queue("work", 4, &queue));
    }
    return true;
  }

  void onTick() override {
    const string value = string("tick of ") + LANGUAGE;
    EXPECT(proxy_enqueue_shared_queue(queue, value.data(), value.size()));
  }

  void onQueueReady(uint32_t ready) override {
    Given given;
    EXPECT(proxy_dequeue_shared_queue(ready, &given.data, &given.size));
    log(2, "dequeued " + string(given.view()));
  }

  string greeting, service;
  uint32_t requests = 0, live = 0, path_bytes = 0, queue = 0;
};

class Filter : public Stream {
public:
  Filter(uint32_t id, FilterRoot *root) : id_(id), root_(root) {}

  uint32_t onRequestHeaders(bool is_last) override {
    path_ = header(REQUEST_MAP, ":path");
    EXPECT(proxy_increment_metric(root_->requests, 1));
    EXPECT(proxy_increment_metric(root_->live, 1));
    EXPECT(proxy_record_metric(root_->path_bytes, path_.size()));
    const string count = std::to_string(countHeaders(REQUEST_MAP));
    addHeader(REQUEST_MAP, "x-pairs", count + (is_last ? " last" : ""));
    addHeader(REQUEST_MAP, "x-greeting", root_->greeting);
    addHeader(REQUEST_MAP, "x-property",
              property({"route_name"}) + "|" + property({"request", "method"}) + "|" +
                  property({"source", "address"}) + "|" + property({"plugin_root_id"}) + "|" +
                  property({"no", "such", "thing"}));
    addHeader(REQUEST_MAP, "x-hits", std::to_string(countHit()));
    replaceHeader(REQUEST_MAP, "user-agent", LANGUAGE);
    removeHeader(REQUEST_MAP, "x-secret");
    if (path_ == "/deny") {
      answer(403, "denied", "no entry\n", {{"x-why", "deny"}});
      return PAUSE;
    }
    if (path_ == "/call") return call();
    if (path_ == "/trap") abort();
    if (path_ == "/spin") {
      for (volatile int turn = 0;; turn = turn + 1) {
      }
    }
    if (path_ == "/work") addHeader(REQUEST_MAP, "x-work", work());
    if (path_ == "/system") {
      timespec now{};
      clock_gettime(CLOCK_REALTIME, &now);
      const int64_t ms = int64_t(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
      addHeader(REQUEST_MAP, "x-time", std::to_string(ms));
      const char *place = getenv("PLACE");
      addHeader(REQUEST_MAP, "x-place", place == nullptr ? "" : place);
      printf("a line for stdout\n");
      fflush(stdout);
      fprintf(stderr, "a line for stderr\n");
    }
    return CONTINUE;
  }

  uint32_t onRequestBody(size_t size, bool is_last) override {
    if (!is_last) return PAUSE;
    string text = string(LANGUAGE) + ":";
    for (const char byte : buffer(REQUEST_BODY, size)) {
      text.push_back(byte >= 'a' && byte <= 'z' ? byte - 32 : byte);
    }
    setBuffer(REQUEST_BODY, 0, size, text);
    return CONTINUE;
  }

  uint32_t onResponseHeaders() override {
    addHeader(RESPONSE_MAP, "X-Powered", LANGUAGE);
    replaceHeader(RESPONSE_MAP, "server", "sluice");
    removeHeader(RESPONSE_MAP, "x-internal");
    return CONTINUE;
  }

  uint32_t onResponseBody(size_t size, bool is_last) override {
    if (is_last) setBuffer(RESPONSE_BODY, size, 0, string("|") + LANGUAGE);
    return CONTINUE;
  }

  void onLog() override {
    log(2, "log " + header(RESPONSE_MAP, ":status") + " " + path_);
    EXPECT(proxy_increment_metric(root_->live, -1));
  }

private:
  uint32_t call() {
    const string headers = packed({{":method", "GET"},
                                   {":path", "/check"},
                                   {":authority", "auth"},
                                   {"x-from", LANGUAGE}});
    uint32_t token = 0;
    const auto status =
        proxy_http_call(root_->service.data(), root_->service.size(), headers.data(),
                        headers.size(), nullptr, 0, nullptr, 0, 1000, &token);
    if (status != OK) {
      answer(500, "call", "status " + std::to_string(status) + "\n", {});
      return PAUSE;
    }
    root_->calls[token] = [id = id_](size_t headers_count, size_t body_size) {
      if (streams.count(id) == 0) return;
      EXPECT(proxy_set_effective_context(id));
      if (headers_count == 0) return answer(504, "auth", "no answer\n", {});
      const string body = buffer(CALL_BODY, body_size);
      if (header(CALL_MAP, ":status") != "200") return answer(401, "auth", body, {});
      addHeader(REQUEST_MAP, "x-auth", body);
      EXPECT(proxy_continue_stream(0));
    };
    return PAUSE;
  }

  uint32_t id_;
  FilterRoot *root_;
  string path_;
};

const Register registered(
    "probe", [] { return std::make_unique<FilterRoot>(); },
    [](uint32_t id, Root *root) {
      return std::make_unique<Filter>(id, static_cast<FilterRoot *>(root));
    });

Stream &streamOf(uint32_t id) {
  const auto found = streams.find(id);
  if (found == streams.end()) abort();
  return *found->second;
}

} // namespace

#ifdef COMMAND
/** For a module that begins as a program: _start runs it once, and the callbacks come later. */
int main() { return 0; }
#endif

GUEST(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1() {}

GUEST(proxy_on_context_create) void proxy_on_context_create(uint32_t id, uint32_t parent) {
  if (parent != 0) {
    streams[id] = factories->at(root_id).stream(id, roots[parent].get());
    return;
  }
  Given given;
  EXPECT(proxy_get_property("plugin_root_id", 14, &given.data, &given.size));
  root_id = string(given.view());
  const auto factory = factories->find(root_id);
  if (factory == factories->end()) abort();
  roots[id] = factory->second.root();
}

GUEST(proxy_on_vm_start) uint32_t proxy_on_vm_start(uint32_t, uint32_t size) {
  log(2, "vm " + buffer(VM_CONFIG, size));
  return 1;
}

GUEST(proxy_on_configure) uint32_t proxy_on_configure(uint32_t id, uint32_t) {
  return roots.at(id)->onConfigure() ? 1 : 0;
}

GUEST(proxy_on_tick) void proxy_on_tick(uint32_t id) { roots.at(id)->onTick(); }

GUEST(proxy_on_queue_ready) void proxy_on_queue_ready(uint32_t id, uint32_t queue) {
  roots.at(id)->onQueueReady(queue);
}

GUEST(proxy_on_request_headers)
uint32_t proxy_on_request_headers(uint32_t id, uint32_t, uint32_t is_last) {
  return streamOf(id).onRequestHeaders(is_last != 0);
}

GUEST(proxy_on_request_body)
uint32_t proxy_on_request_body(uint32_t id, uint32_t size, uint32_t is_last) {
  return streamOf(id).onRequestBody(size, is_last != 0);
}

GUEST(proxy_on_response_headers)
uint32_t proxy_on_response_headers(uint32_t id, uint32_t, uint32_t) {
  return streamOf(id).onResponseHeaders();
}

GUEST(proxy_on_response_body)
uint32_t proxy_on_response_body(uint32_t id, uint32_t size, uint32_t is_last) {
  return streamOf(id).onResponseBody(size, is_last != 0);
}

GUEST(proxy_on_http_call_response)
void proxy_on_http_call_response(uint32_t root, uint32_t token, uint32_t headers,
                                 uint32_t body_size, uint32_t) {
  auto &calls = roots.at(root)->calls;
  const auto found = calls.find(token);
  if (found == calls.end()) return;
  const auto callback = found->second;
  calls.erase(found);
  callback(headers, body_size);
}

GUEST(proxy_on_done) uint32_t proxy_on_done(uint32_t) { return 1; }

GUEST(proxy_on_log) void proxy_on_log(uint32_t id) { streamOf(id).onLog(); }

GUEST(proxy_on_delete) void proxy_on_delete(uint32_t id) {
  if (streams.erase(id) + roots.erase(id) == 0) abort();
}
