// The filter of README.md in Rust, on bindings of its own that are built as those of the Rust SDK:
// contexts in a thread-local, answers of the host taken over as vectors, a panic for each status
// that no program expects.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ptr::null_mut;
#[cfg(target_os = "wasi")]
use std::time::{SystemTime, UNIX_EPOCH};

const LANGUAGE: &str = "rust";

mod host {
    #[link(wasm_import_module = "env")]
    extern "C" {
        pub fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub fn proxy_set_tick_period_milliseconds(ms: u32) -> u32;
        pub fn proxy_set_effective_context(context: u32) -> u32;
        pub fn proxy_get_buffer_bytes(
            kind: u32, start: usize, size: usize, out: *mut *mut u8, out_size: *mut usize,
        ) -> u32;
        pub fn proxy_set_buffer_bytes(
            kind: u32, start: usize, replaced: usize, bytes: *const u8, size: usize,
        ) -> u32;
        pub fn proxy_get_header_map_pairs(
            map: u32, out: *mut *mut u8, out_size: *mut usize,
        ) -> u32;
        pub fn proxy_get_header_map_value(
            map: u32, key: *const u8, key_size: usize, out: *mut *mut u8, out_size: *mut usize,
        ) -> u32;
        pub fn proxy_add_header_map_value(
            map: u32, key: *const u8, key_size: usize, value: *const u8, size: usize,
        ) -> u32;
        pub fn proxy_replace_header_map_value(
            map: u32, key: *const u8, key_size: usize, value: *const u8, size: usize,
        ) -> u32;
        pub fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
        pub fn proxy_get_property(
            path: *const u8, path_size: usize, out: *mut *mut u8, out_size: *mut usize,
        ) -> u32;
        pub fn proxy_get_shared_data(
            key: *const u8, key_size: usize, out: *mut *mut u8, out_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub fn proxy_set_shared_data(
            key: *const u8, key_size: usize, value: *const u8, size: usize, cas: u32,
        ) -> u32;
        pub fn proxy_register_shared_queue(name: *const u8, size: usize, out: *mut u32) -> u32;
        pub fn proxy_enqueue_shared_queue(queue: u32, value: *const u8, size: usize) -> u32;
        pub fn proxy_dequeue_shared_queue(
            queue: u32, out: *mut *mut u8, out_size: *mut usize,
        ) -> u32;
        pub fn proxy_define_metric(kind: u32, name: *const u8, size: usize, out: *mut u32) -> u32;
        pub fn proxy_increment_metric(id: u32, by: i64) -> u32;
        pub fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub fn proxy_continue_stream(stream: u32) -> u32;
        pub fn proxy_send_local_response(
            status: u32, details: *const u8, details_size: usize, body: *const u8,
            body_size: usize, headers: *const u8, headers_size: usize, grpc_status: i32,
        ) -> u32;
        pub fn proxy_http_call(
            service: *const u8, service_size: usize, headers: *const u8, headers_size: usize,
            body: *const u8, body_size: usize, trailers: *const u8, trailers_size: usize,
            timeout_ms: u32, out: *mut u32,
        ) -> u32;
    }
}

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;
const REQUEST_MAP: u32 = 0;
const RESPONSE_MAP: u32 = 2;
const CALL_MAP: u32 = 6;
const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_BODY: u32 = 4;
const VM_CONFIG: u32 = 6;
const PLUGIN_CONFIG: u32 = 7;
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

fn expect(status: u32) {
    if status != OK {
        panic!("unexpected status: {}", status)
    }
}

fn log(level: u32, text: &str) {
    expect(unsafe { host::proxy_log(level, text.as_ptr(), text.len()) })
}

/// Takes over what the host wrote into memory that it asked for.
fn taken(status: u32, data: *mut u8, size: usize) -> Option<Vec<u8>> {
    if status == NOT_FOUND {
        return None;
    }
    expect(status);
    if data.is_null() {
        return Some(Vec::new());
    }
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

fn buffer(kind: u32, size: usize) -> Vec<u8> {
    let (mut data, mut length) = (null_mut(), 0);
    let status =
        unsafe { host::proxy_get_buffer_bytes(kind, 0, size, &mut data, &mut length) };
    taken(status, data, length).unwrap_or_default()
}

fn set_buffer(kind: u32, start: usize, replaced: usize, bytes: &[u8]) {
    expect(unsafe {
        host::proxy_set_buffer_bytes(kind, start, replaced, bytes.as_ptr(), bytes.len())
    })
}

fn header(map: u32, key: &str) -> Option<String> {
    let (mut data, mut size) = (null_mut(), 0);
    let status = unsafe {
        host::proxy_get_header_map_value(map, key.as_ptr(), key.len(), &mut data, &mut size)
    };
    taken(status, data, size).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn headers(map: u32) -> Vec<(String, String)> {
    let (mut data, mut size) = (null_mut(), 0);
    let status = unsafe { host::proxy_get_header_map_pairs(map, &mut data, &mut size) };
    let bytes = taken(status, data, size).unwrap_or_default();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    if bytes.is_empty() {
        return Vec::new();
    }
    let count = number(0);
    let mut at = 4 + 8 * count;
    let mut text = |size: usize| {
        let part = String::from_utf8(bytes[at..at + size].to_vec()).unwrap();
        at += size + 1;
        part
    };
    (0..count)
        .map(|pair| (text(number(4 + 8 * pair)), text(number(8 + 8 * pair))))
        .collect()
}

fn add_header(map: u32, key: &str, value: &str) {
    expect(unsafe {
        host::proxy_add_header_map_value(
            map, key.as_ptr(), key.len(), value.as_ptr(), value.len(),
        )
    })
}

fn replace_header(map: u32, key: &str, value: &str) {
    expect(unsafe {
        host::proxy_replace_header_map_value(
            map, key.as_ptr(), key.len(), value.as_ptr(), value.len(),
        )
    })
}

fn remove_header(map: u32, key: &str) {
    expect(unsafe { host::proxy_remove_header_map_value(map, key.as_ptr(), key.len()) })
}

fn property(path: &[&str]) -> String {
    let path = path.join("\0");
    let (mut data, mut size) = (null_mut(), 0);
    let status = unsafe {
        host::proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut size)
    };
    match taken(status, data, size) {
        Some(bytes) => String::from_utf8(bytes).unwrap(),
        None => "none".to_string(),
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
    for (key, value) in list {
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (key, value) in list {
        for text in [key, value] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

fn answer(status: u32, details: &str, body: &str, list: &[(&str, &str)]) {
    let headers = pairs(list);
    expect(unsafe {
        host::proxy_send_local_response(
            status, details.as_ptr(), details.len(), body.as_ptr(), body.len(),
            headers.as_ptr(), headers.len(), -1,
        )
    })
}

/// Counts one hit in data that all instances share.
fn count_hit() -> u64 {
    let key = "hits";
    loop {
        let (mut data, mut size, mut cas) = (null_mut(), 0, 0);
        let status = unsafe {
            host::proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut size, &mut cas)
        };
        let known = taken(status, data, size).unwrap_or_default();
        let before: u64 = String::from_utf8(known).unwrap().parse().unwrap_or(0);
        let value = (before + 1).to_string();
        let status = unsafe {
            host::proxy_set_shared_data(
                key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas,
            )
        };
        if status == CAS_MISMATCH {
            continue;
        }
        expect(status);
        return before + 1;
    }
}

fn metric(kind: u32, name: &str) -> u32 {
    let name = format!("{}_{}", LANGUAGE, name);
    let mut id = 0;
    expect(unsafe { host::proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) });
    id
}

#[derive(Default)]
struct Root {
    greeting: String,
    service: String,
    requests: u32,
    live: u32,
    path_bytes: u32,
    queue: u32,
}

impl Root {
    fn configure(&mut self) -> bool {
        let text = String::from_utf8(buffer(PLUGIN_CONFIG, usize::MAX)).unwrap();
        let settings: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('=')).collect();
        match settings.get("greeting") {
            Some(greeting) => self.greeting = greeting.to_string(),
            None => {
                log(4, "no greeting");
                return false;
            }
        }
        self.service = settings.get("service").unwrap_or(&"").to_string();
        self.requests = metric(0, "requests");
        self.live = metric(1, "live");
        self.path_bytes = metric(2, "path_bytes");
        if let Some(ms) = settings.get("tick") {
            expect(unsafe { host::proxy_set_tick_period_milliseconds(ms.parse().unwrap()) });
            let name = "work";
            expect(unsafe {
                host::proxy_register_shared_queue(name.as_ptr(), name.len(), &mut self.queue)
            });
        }
        true
    }

    fn on_tick(&self) {
        let value = format!("tick of {}", LANGUAGE);
        expect(unsafe {
            host::proxy_enqueue_shared_queue(self.queue, value.as_ptr(), value.len())
        });
    }

    fn on_queue_ready(&self, queue: u32) {
        let (mut data, mut size) = (null_mut(), 0);
        let status = unsafe { host::proxy_dequeue_shared_queue(queue, &mut data, &mut size) };
        let value = taken(status, data, size).unwrap_or_default();
        log(2, &format!("dequeued {}", String::from_utf8_lossy(&value)));
    }
}

struct Filter {
    path: String,
}

impl Filter {
    fn on_request_headers(&mut self, root: &Root, is_last: bool) -> Result<u32, u32> {
        self.path = header(REQUEST_MAP, ":path").unwrap();
        unsafe {
            expect(host::proxy_increment_metric(root.requests, 1));
            expect(host::proxy_increment_metric(root.live, 1));
            expect(host::proxy_record_metric(root.path_bytes, self.path.len() as u64));
        }
        let all = headers(REQUEST_MAP);
        let eos = if is_last { " last" } else { "" };
        add_header(REQUEST_MAP, "x-pairs", &format!("{}{}", all.len(), eos));
        add_header(REQUEST_MAP, "x-greeting", &root.greeting);
        let parts = [
            property(&["route_name"]),
            property(&["request", "method"]),
            property(&["source", "address"]),
            property(&["plugin_root_id"]),
            property(&["no", "such", "thing"]),
        ];
        add_header(REQUEST_MAP, "x-property", &parts.join("|"));
        add_header(REQUEST_MAP, "x-hits", &count_hit().to_string());
        replace_header(REQUEST_MAP, "user-agent", LANGUAGE);
        remove_header(REQUEST_MAP, "x-secret");
        match self.path.as_str() {
            "/deny" => {
                answer(403, "denied", "no entry\n", &[("x-why", "deny")]);
                Ok(PAUSE)
            }
            "/call" => Err(call(&root.service)),
            "/trap" => panic!("asked to"),
            "/spin" => loop {
                std::hint::black_box(());
            },
            "/work" => {
                add_header(REQUEST_MAP, "x-work", &work());
                Ok(CONTINUE)
            }
            #[cfg(target_os = "wasi")]
            "/system" => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                add_header(REQUEST_MAP, "x-time", &now.as_millis().to_string());
                let value = std::env::var("PLACE").unwrap_or_default();
                add_header(REQUEST_MAP, "x-place", &value);
                println!("a line for stdout");
                eprintln!("a line for stderr");
                Ok(CONTINUE)
            }
            _ => Ok(CONTINUE),
        }
    }

    fn on_call_response(&self, headers_count: usize, body_size: usize) {
        if headers_count == 0 {
            return answer(504, "auth", "no answer\n", &[]);
        }
        let body = String::from_utf8(buffer(CALL_BODY, body_size)).unwrap();
        if header(CALL_MAP, ":status").as_deref() != Some("200") {
            return answer(401, "auth", &body, &[]);
        }
        add_header(REQUEST_MAP, "x-auth", &body);
        expect(unsafe { host::proxy_continue_stream(0) });
    }

    fn on_request_body(&self, size: usize, is_last: bool) -> u32 {
        if !is_last {
            return PAUSE;
        }
        let body = buffer(REQUEST_BODY, size);
        let mut text = format!("{}:", LANGUAGE).into_bytes();
        text.extend(body.iter().map(u8::to_ascii_uppercase));
        set_buffer(REQUEST_BODY, 0, size, &text);
        CONTINUE
    }

    fn on_response_headers(&self) -> u32 {
        add_header(RESPONSE_MAP, "X-Powered", LANGUAGE);
        replace_header(RESPONSE_MAP, "server", "sluice");
        remove_header(RESPONSE_MAP, "x-internal");
        CONTINUE
    }

    fn on_response_body(&self, size: usize, is_last: bool) -> u32 {
        if is_last {
            set_buffer(RESPONSE_BODY, size, 0, format!("|{}", LANGUAGE).as_bytes());
        }
        CONTINUE
    }

    fn on_log(&self, root: &Root) {
        let status = header(RESPONSE_MAP, ":status").unwrap_or_default();
        log(2, &format!("log {} {}", status, self.path));
        expect(unsafe { host::proxy_increment_metric(root.live, -1) });
    }
}

/// Returns the call's token.
fn call(service: &str) -> u32 {
    let headers = pairs(&[
        (":method", "GET"), (":path", "/check"), (":authority", "auth"), ("x-from", LANGUAGE),
    ]);
    let mut token = 0;
    let status = unsafe {
        host::proxy_http_call(
            service.as_ptr(), service.len(), headers.as_ptr(), headers.len(),
            null_mut(), 0, null_mut(), 0, 1_000, &mut token,
        )
    };
    if status == OK {
        return token;
    }
    answer(500, "call", &format!("status {}\n", status), &[]);
    0
}

/// Maps, sorting, 64-bit and floating-point arithmetic, and some megabytes: the same in every
/// language.
fn work() -> String {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        *counts.entry(format!("w{}", (state >> 33) % 700)).or_default() += 1;
    }
    let sorted: BTreeMap<&String, &u64> = counts.iter().collect();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut sum = 0.0_f64;
    for (word, count) in sorted {
        for byte in format!("{}:{};", word, count).bytes() {
            hash = (hash ^ byte as u64).wrapping_mul(0x100_0000_01b3);
        }
        sum += (*count as f64).sqrt() / 3.0;
    }
    let mut block = vec![1_u8; 3 << 20];
    for index in (0..block.len()).step_by(4_096) {
        block[index] = (index >> 12) as u8;
    }
    let copied = block.clone();
    let checked: u64 = copied.iter().step_by(1_024).map(|byte| *byte as u64).sum();
    format!("{:016x} {} {}", hash, (sum * 1_000.0) as i64, checked)
}

#[derive(Default)]
struct Dispatcher {
    roots: HashMap<u32, Root>,
    filters: HashMap<u32, (Filter, u32)>,
    calls: HashMap<u32, u32>,
}

thread_local! {
    static DISPATCHER: RefCell<Dispatcher> = RefCell::new(Dispatcher::default());
}

fn with_root<T>(id: u32, act: impl FnOnce(&mut Root) -> T) -> T {
    DISPATCHER.with(|cell| act(cell.borrow_mut().roots.get_mut(&id).expect("no such root")))
}

fn with_filter<T>(id: u32, act: impl FnOnce(&mut Filter, &Root) -> T) -> T {
    DISPATCHER.with(|cell| {
        let Dispatcher { roots, filters, .. } = &mut *cell.borrow_mut();
        let (filter, root) = filters.get_mut(&id).expect("no such stream");
        act(filter, &roots[root])
    })
}

extern "C" {
    fn __wasm_call_ctors();
}

#[no_mangle]
pub extern "C" fn _initialize() {
    unsafe { __wasm_call_ctors() };
    std::panic::set_hook(Box::new(|panic| log(5, &panic.to_string())));
}

#[no_mangle]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[no_mangle]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut bytes = Vec::<u8>::with_capacity(size);
    let data = bytes.as_mut_ptr();
    std::mem::forget(bytes);
    data
}

#[no_mangle]
pub extern "C" fn proxy_on_context_create(id: u32, root: u32) {
    DISPATCHER.with(|cell| {
        let dispatcher = &mut *cell.borrow_mut();
        if root == 0 {
            dispatcher.roots.insert(id, Root::default());
        } else {
            let filter = Filter { path: String::new() };
            dispatcher.filters.insert(id, (filter, root));
        }
    })
}

#[no_mangle]
pub extern "C" fn proxy_on_vm_start(_root: u32, size: usize) -> bool {
    let text = String::from_utf8(buffer(VM_CONFIG, size)).unwrap();
    log(2, &format!("vm {}", text));
    true
}

#[no_mangle]
pub extern "C" fn proxy_on_configure(root: u32, _size: usize) -> bool {
    with_root(root, |root| root.configure())
}

#[no_mangle]
pub extern "C" fn proxy_on_tick(root: u32) {
    with_root(root, |root| root.on_tick())
}

#[no_mangle]
pub extern "C" fn proxy_on_queue_ready(root: u32, queue: u32) {
    with_root(root, |root| root.on_queue_ready(queue))
}

#[no_mangle]
pub extern "C" fn proxy_on_request_headers(id: u32, _count: usize, is_last: bool) -> u32 {
    match with_filter(id, |filter, root| filter.on_request_headers(root, is_last)) {
        Ok(action) => action,
        Err(token) => {
            DISPATCHER.with(|cell| cell.borrow_mut().calls.insert(token, id));
            PAUSE
        }
    }
}

#[no_mangle]
pub extern "C" fn proxy_on_request_body(id: u32, size: usize, is_last: bool) -> u32 {
    with_filter(id, |filter, _| filter.on_request_body(size, is_last))
}

#[no_mangle]
pub extern "C" fn proxy_on_response_headers(id: u32, _count: usize, _is_last: bool) -> u32 {
    with_filter(id, |filter, _| filter.on_response_headers())
}

#[no_mangle]
pub extern "C" fn proxy_on_response_body(id: u32, size: usize, is_last: bool) -> u32 {
    with_filter(id, |filter, _| filter.on_response_body(size, is_last))
}

#[no_mangle]
pub extern "C" fn proxy_on_http_call_response(
    _root: u32, token: u32, headers: usize, body_size: usize, _trailers: usize,
) {
    let id = DISPATCHER.with(|cell| cell.borrow_mut().calls.remove(&token)).expect("no such call");
    let is_there = DISPATCHER.with(|cell| cell.borrow().filters.contains_key(&id));
    if !is_there {
        return;
    }
    expect(unsafe { host::proxy_set_effective_context(id) });
    with_filter(id, |filter, _| filter.on_call_response(headers, body_size))
}

#[no_mangle]
pub extern "C" fn proxy_on_done(_id: u32) -> bool {
    true
}

#[no_mangle]
pub extern "C" fn proxy_on_log(id: u32) {
    with_filter(id, |filter, root| filter.on_log(root))
}

#[no_mangle]
pub extern "C" fn proxy_on_delete(id: u32) {
    DISPATCHER.with(|cell| {
        let dispatcher = &mut *cell.borrow_mut();
        let is_known =
            dispatcher.filters.remove(&id).is_some() || dispatcher.roots.remove(&id).is_some();
        assert!(is_known, "no such context");
    })
}
