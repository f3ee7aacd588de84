//go:build wasm

package main

import "unsafe"

//go:wasmimport env proxy_log
func proxyLog(level uint32, text *byte, size int32) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
func proxySetTickPeriodMilliseconds(ms uint32) uint32

//go:wasmimport env proxy_set_effective_context
func proxySetEffectiveContext(context uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(kind uint32, start, size int32, out unsafe.Pointer, outSize *int32) uint32

//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(kind uint32, start, replaced int32, value *byte, size int32) uint32

//go:wasmimport env proxy_get_header_map_pairs
func proxyGetHeaderMapPairs(which uint32, out unsafe.Pointer, outSize *int32) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(which uint32, key *byte, keySize int32, out unsafe.Pointer,
	outSize *int32) uint32

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeaderMapValue(which uint32, key *byte, keySize int32, value *byte,
	size int32) uint32

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeaderMapValue(which uint32, key *byte, keySize int32, value *byte,
	size int32) uint32

//go:wasmimport env proxy_remove_header_map_value
func proxyRemoveHeaderMapValue(which uint32, key *byte, keySize int32) uint32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path *byte, pathSize int32, out unsafe.Pointer, outSize *int32) uint32

//go:wasmimport env proxy_get_shared_data
func proxyGetSharedData(key *byte, keySize int32, out unsafe.Pointer, outSize *int32,
	cas *uint32) uint32

//go:wasmimport env proxy_set_shared_data
func proxySetSharedData(key *byte, keySize int32, value *byte, size int32, cas uint32) uint32

//go:wasmimport env proxy_register_shared_queue
func proxyRegisterSharedQueue(name *byte, size int32, out *uint32) uint32

//go:wasmimport env proxy_enqueue_shared_queue
func proxyEnqueueSharedQueue(queue uint32, value *byte, size int32) uint32

//go:wasmimport env proxy_dequeue_shared_queue
func proxyDequeueSharedQueue(queue uint32, out unsafe.Pointer, outSize *int32) uint32

//go:wasmimport env proxy_define_metric
func proxyDefineMetric(kind uint32, name *byte, size int32, out *uint32) uint32

//go:wasmimport env proxy_increment_metric
func proxyIncrementMetric(id uint32, by int64) uint32

//go:wasmimport env proxy_record_metric
func proxyRecordMetric(id uint32, value uint64) uint32

//go:wasmimport env proxy_continue_stream
func proxyContinueStream(stream uint32) uint32

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status uint32, details *byte, detailsSize int32, body *byte,
	bodySize int32, headers *byte, headersSize int32, grpcStatus int32) uint32

//go:wasmimport env proxy_http_call
func proxyHTTPCall(service *byte, serviceSize int32, headers *byte, headersSize int32,
	body *byte, bodySize int32, trailers *byte, trailersSize int32, timeoutMs uint32,
	out *uint32) uint32
