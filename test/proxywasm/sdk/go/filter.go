//go:build wasm

// The filter of ../README.md in Go, on bindings of its own that are built as those of the Go
// SDK: exports and imports by directives, memory for the host made with make, contexts in maps, a
// panic for what must not fail.
package main

import (
	"bytes"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

const language = "go"

const (
	ok           = 0
	casMismatch  = 8
	requestMap   = 0
	responseMap  = 2
	callMap      = 6
	requestBody  = 0
	responseBody = 1
	callBody     = 4
	vmConfig     = 6
	pluginConfig = 7
	goOn         = 0
	pause        = 1
)

type root struct {
	greeting, service                 string
	requests, live, pathBytes, queue  uint32
	calls                             map[uint32]func(headers, bodySize int32)
}

type filter struct {
	id   uint32
	root *root
	path string
}

var (
	roots   = map[uint32]*root{}
	filters = map[uint32]*filter{}
)

func main() {}

func expect(status uint32) {
	if status != ok {
		panic("unexpected status " + strconv.Itoa(int(status)))
	}
}

func pointer(text []byte) *byte {
	if len(text) == 0 {
		return nil
	}
	return &text[0]
}

func taken(status uint32, data *byte, size int32) []byte {
	if status != ok || data == nil {
		return nil
	}
	return unsafe.Slice(data, size)
}

func logLine(level uint32, text string) {
	line := []byte(text)
	expect(proxyLog(level, pointer(line), int32(len(line))))
}

func buffer(kind uint32, size int32) []byte {
	var data *byte
	var length int32
	status := proxyGetBufferBytes(kind, 0, size, unsafe.Pointer(&data), &length)
	return taken(status, data, length)
}

func setBuffer(kind uint32, start, replaced int32, value []byte) {
	expect(proxySetBufferBytes(kind, start, replaced, pointer(value), int32(len(value))))
}

func header(which uint32, name string) string {
	key := []byte(name)
	var data *byte
	var size int32
	status := proxyGetHeaderMapValue(
		which, pointer(key), int32(len(key)), unsafe.Pointer(&data), &size)
	return string(taken(status, data, size))
}

func headers(which uint32) [][2]string {
	var data *byte
	var size int32
	status := proxyGetHeaderMapPairs(which, unsafe.Pointer(&data), &size)
	all := taken(status, data, size)
	if len(all) == 0 {
		return nil
	}
	number := func(at int) int {
		return int(all[at]) | int(all[at+1])<<8 | int(all[at+2])<<16 | int(all[at+3])<<24
	}
	pairs := make([][2]string, number(0))
	at := 4 + 8*len(pairs)
	for index := range pairs {
		for part := range pairs[index] {
			size := number(4 + 8*index + 4*part)
			pairs[index][part] = string(all[at : at+size])
			at += size + 1
		}
	}
	return pairs
}

func addHeader(which uint32, name, text string) {
	key, value := []byte(name), []byte(text)
	expect(proxyAddHeaderMapValue(
		which, pointer(key), int32(len(key)), pointer(value), int32(len(value))))
}

func replaceHeader(which uint32, name, text string) {
	key, value := []byte(name), []byte(text)
	expect(proxyReplaceHeaderMapValue(
		which, pointer(key), int32(len(key)), pointer(value), int32(len(value))))
}

func removeHeader(which uint32, name string) {
	key := []byte(name)
	expect(proxyRemoveHeaderMapValue(which, pointer(key), int32(len(key))))
}

func property(names ...string) string {
	path := []byte(strings.Join(names, "\x00"))
	var data *byte
	var size int32
	status := proxyGetProperty(
		pointer(path), int32(len(path)), unsafe.Pointer(&data), &size)
	if status != ok {
		return "none"
	}
	return string(taken(status, data, size))
}

func packed(pairs [][2]string) []byte {
	number := func(to []byte, value int) []byte {
		return append(to, byte(value), byte(value>>8), byte(value>>16), byte(value>>24))
	}
	all := number(nil, len(pairs))
	for _, pair := range pairs {
		all = number(number(all, len(pair[0])), len(pair[1]))
	}
	for _, pair := range pairs {
		for _, text := range pair {
			all = append(append(all, text...), 0)
		}
	}
	return all
}

func answer(status uint32, why, text string, pairs [][2]string) {
	details, body, head := []byte(why), []byte(text), packed(pairs)
	expect(proxySendLocalResponse(status, pointer(details), int32(len(details)),
		pointer(body), int32(len(body)), pointer(head), int32(len(head)), -1))
}

// countHit counts one hit in data that all instances share.
func countHit() uint64 {
	key := []byte("hits")
	for {
		var data *byte
		var size int32
		var cas uint32
		status := proxyGetSharedData(
			pointer(key), int32(len(key)), unsafe.Pointer(&data), &size, &cas)
		before, _ := strconv.ParseUint(string(taken(status, data, size)), 10, 64)
		value := []byte(strconv.FormatUint(before+1, 10))
		status = proxySetSharedData(
			pointer(key), int32(len(key)), pointer(value), int32(len(value)), cas)
		if status == casMismatch {
			continue
		}
		expect(status)
		return before + 1
	}
}

func metric(kind uint32, what string) uint32 {
	name := []byte(language + "_" + what)
	var id uint32
	expect(proxyDefineMetric(kind, pointer(name), int32(len(name)), &id))
	return id
}

// work uses maps, sorting, 64-bit and floating-point arithmetic, and some megabytes: the same in
// every language.
func work() string {
	counts := map[string]uint64{}
	state := uint64(0x9e3779b97f4a7c15)
	for index := 0; index < 3000; index++ {
		state = state*6364136223846793005 + 1442695040888963407
		counts["w"+strconv.FormatUint((state>>33)%700, 10)]++
	}
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	sort.Strings(words)
	hash, sum := uint64(0xcbf29ce484222325), 0.0
	for _, word := range words {
		for _, char := range []byte(word + ":" + strconv.FormatUint(counts[word], 10) + ";") {
			hash = (hash ^ uint64(char)) * 0x100000001b3
		}
		sum += math.Sqrt(float64(counts[word])) / 3.0
	}
	block := bytes.Repeat([]byte{1}, 3<<20)
	for index := 0; index < len(block); index += 4096 {
		block[index] = byte(index >> 12)
	}
	copied := append([]byte(nil), block...)
	checked := uint64(0)
	for index := 0; index < len(copied); index += 1024 {
		checked += uint64(copied[index])
	}
	text := strconv.FormatUint(hash, 16)
	return strings.Repeat("0", 16-len(text)) + text + " " +
		strconv.FormatInt(int64(sum*1000), 10) + " " + strconv.FormatUint(checked, 10)
}

func (r *root) configure() bool {
	settings := map[string]string{}
	for _, line := range strings.Split(string(buffer(pluginConfig, math.MaxInt32)), "\n") {
		if at := strings.IndexByte(line, '='); at >= 0 {
			settings[line[:at]] = line[at+1:]
		}
	}
	greeting, isThere := settings["greeting"]
	if !isThere {
		logLine(4, "no greeting")
		return false
	}
	r.greeting, r.service = greeting, settings["service"]
	r.requests, r.live, r.pathBytes = metric(0, "requests"), metric(1, "live"), metric(2, "path_bytes")
	if ms, _ := strconv.Atoi(settings["tick"]); ms > 0 {
		expect(proxySetTickPeriodMilliseconds(uint32(ms)))
		name := []byte("work")
		expect(proxyRegisterSharedQueue(pointer(name), int32(len(name)), &r.queue))
	}
	return true
}

func (f *filter) call() uint32 {
	service := []byte(f.root.service)
	head := packed([][2]string{
		{":method", "GET"}, {":path", "/check"}, {":authority", "auth"}, {"x-from", language},
	})
	trailers := packed(nil)
	var token uint32
	status := proxyHTTPCall(pointer(service), int32(len(service)), pointer(head),
		int32(len(head)), nil, 0, pointer(trailers), int32(len(trailers)), 1000, &token)
	if status != ok {
		answer(500, "call", "status "+strconv.Itoa(int(status))+"\n", nil)
		return pause
	}
	f.root.calls[token] = func(headers, bodySize int32) {
		if filters[f.id] == nil {
			return
		}
		expect(proxySetEffectiveContext(f.id))
		if headers == 0 {
			answer(504, "auth", "no answer\n", nil)
			return
		}
		body := string(buffer(callBody, bodySize))
		if header(callMap, ":status") != "200" {
			answer(401, "auth", body, nil)
			return
		}
		addHeader(requestMap, "x-auth", body)
		expect(proxyContinueStream(0))
	}
	return pause
}

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size uint32) unsafe.Pointer {
	return unsafe.Pointer(&make([]byte, size)[0])
}

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(id, parent uint32) {
	if parent == 0 {
		roots[id] = &root{calls: map[uint32]func(headers, bodySize int32){}}
		return
	}
	filters[id] = &filter{id: id, root: roots[parent]}
}

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(_, size uint32) bool {
	logLine(2, "vm "+string(buffer(vmConfig, int32(size))))
	return true
}

//go:wasmexport proxy_on_configure
func proxyOnConfigure(id, _ uint32) bool { return roots[id].configure() }

//go:wasmexport proxy_on_tick
func proxyOnTick(id uint32) {
	value := []byte("tick of " + language)
	expect(proxyEnqueueSharedQueue(roots[id].queue, pointer(value), int32(len(value))))
}

//go:wasmexport proxy_on_queue_ready
func proxyOnQueueReady(_, queue uint32) {
	var data *byte
	var size int32
	status := proxyDequeueSharedQueue(queue, unsafe.Pointer(&data), &size)
	logLine(2, "dequeued "+string(taken(status, data, size)))
}

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(id, _ uint32, isLast bool) uint32 {
	f := filters[id]
	f.path = header(requestMap, ":path")
	expect(proxyIncrementMetric(f.root.requests, 1))
	expect(proxyIncrementMetric(f.root.live, 1))
	expect(proxyRecordMetric(f.root.pathBytes, uint64(len(f.path))))
	count := strconv.Itoa(len(headers(requestMap)))
	if isLast {
		count += " last"
	}
	addHeader(requestMap, "x-pairs", count)
	addHeader(requestMap, "x-greeting", f.root.greeting)
	addHeader(requestMap, "x-property", strings.Join([]string{
		property("route_name"), property("request", "method"), property("source", "address"),
		property("plugin_root_id"), property("no", "such", "thing"),
	}, "|"))
	addHeader(requestMap, "x-hits", strconv.FormatUint(countHit(), 10))
	replaceHeader(requestMap, "user-agent", language)
	removeHeader(requestMap, "x-secret")
	switch f.path {
	case "/deny":
		answer(403, "denied", "no entry\n", [][2]string{{"x-why", "deny"}})
		return pause
	case "/call":
		return f.call()
	case "/trap":
		panic("asked to")
	case "/spin":
		for turn := 0; ; turn++ {
			spinning = turn
		}
	case "/work":
		addHeader(requestMap, "x-work", work())
	case "/system":
		addHeader(requestMap, "x-time", strconv.FormatInt(time.Now().UnixMilli(), 10))
		addHeader(requestMap, "x-place", os.Getenv("PLACE"))
		os.Stdout.WriteString("a line for stdout\n")
		os.Stderr.WriteString("a line for stderr\n")
	}
	return goOn
}

var spinning int

//go:wasmexport proxy_on_request_body
func proxyOnRequestBody(_ uint32, size int32, isLast bool) uint32 {
	if !isLast {
		return pause
	}
	body := bytes.ToUpper(buffer(requestBody, size))
	setBuffer(requestBody, 0, size, append([]byte(language+":"), body...))
	return goOn
}

//go:wasmexport proxy_on_response_headers
func proxyOnResponseHeaders(_, _ uint32, _ bool) uint32 {
	addHeader(responseMap, "X-Powered", language)
	replaceHeader(responseMap, "server", "sluice")
	removeHeader(responseMap, "x-internal")
	return goOn
}

//go:wasmexport proxy_on_response_body
func proxyOnResponseBody(_ uint32, size int32, isLast bool) uint32 {
	if isLast {
		setBuffer(responseBody, size, 0, []byte("|"+language))
	}
	return goOn
}

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(id, token uint32, headers, bodySize, _ int32) {
	callback := roots[id].calls[token]
	if callback == nil {
		panic("no such call")
	}
	delete(roots[id].calls, token)
	callback(headers, bodySize)
}

//go:wasmexport proxy_on_done
func proxyOnDone(uint32) bool { return true }

//go:wasmexport proxy_on_log
func proxyOnLog(id uint32) {
	f := filters[id]
	logLine(2, "log "+header(responseMap, ":status")+" "+f.path)
	expect(proxyIncrementMetric(f.root.live, -1))
}

//go:wasmexport proxy_on_delete
func proxyOnDelete(id uint32) {
	if filters[id] == nil && roots[id] == nil {
		panic("no such context")
	}
	delete(filters, id)
	delete(roots, id)
}
