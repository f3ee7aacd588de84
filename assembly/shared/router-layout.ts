// Byte pictures of a route table and of a worker's scratch area, read by asc and by tsc alike: no
// imports, no types, only integer constants. All words are little-endian and 32 bits wide unless
// said otherwise; offsets inside a table count from its first byte, so a table can lie anywhere.
//
// TABLE
//   0      4        8      12          16            20         24         28         32
//   +------+--------+------+-----------+-------------+----------+----------+----------+
//   |magic |version |size  |generation |routes count |slot mask |slots     |host mask |
//   +------+--------+------+-----------+-------------+----------+----------+----------+
//   32     36       40     44          48            52         56         60         64
//   +------+--------+------+-----------+-------------+----------+----------+----------+
//   |host  |any     |fields|fields     |field mask   |field     |methods   |methods   |
//   |slots |root    |count |           |             |slots     |count     |          |
//   +------+--------+------+-----------+-------------+----------+----------+----------+
//   |slots |host slots |field slots |nodes |lists, conditions |hosts |fields |methods |8 zeros|
//   +------+-----------+------------+------+------------------+------+-------+--------+-------+
//
// A slot is open-addressed and at most half of a table of slots is taken: [key][record, 0 = empty].
//   slots        key = slotKey(parent node, hash of the segment)   record = child node
//   host slots   key = hash of the host, or of `.suffix`           record = host record
//   field slots  key = hash of a query parameter's name            record = field record

export const TABLE_MAGIC = 0x52_54_42_4c;
export const TABLE_VERSION = 1;
export const TABLE_HEADER_SIZE_BYTES = 64;
export const TABLE_MAGIC_OFFSET = 0;
export const TABLE_VERSION_OFFSET = 4;
export const TABLE_SIZE_OFFSET = 8;
/** Raised with each table placed, so that a table at a freed table's address is told apart. */
export const TABLE_GENERATION_OFFSET = 12;
export const TABLE_ROUTES_COUNT_OFFSET = 16;
export const TABLE_SLOT_MASK_OFFSET = 20;
export const TABLE_SLOTS_OFFSET = 24;
export const TABLE_HOST_MASK_OFFSET = 28;
/** 0 when no route names a host: then the authority is never read. */
export const TABLE_HOST_SLOTS_OFFSET = 32;
/** Root node of the routes for any host; 0 for none. */
export const TABLE_ANY_ROOT_OFFSET = 36;
/** Header and query names that conditions use. 0: headers and query are never read. */
export const TABLE_FIELDS_COUNT_OFFSET = 40;
export const TABLE_FIELDS_OFFSET = 44;
export const TABLE_FIELD_MASK_OFFSET = 48;
/** 0 when no condition looks at the query. */
export const TABLE_FIELD_SLOTS_OFFSET = 52;
export const TABLE_METHODS_COUNT_OFFSET = 56;
export const TABLE_METHODS_OFFSET = 60;
/** The kernel loads eight bytes at a time and masks; the last literal needs this much after it. */
export const TABLE_PADDING_SIZE_BYTES = 8;

export const SLOT_SIZE_BYTES = 8;

// NODE, one per distinct path prefix of a host; aligned to 8
//   0       4         8          12      16      20       24      28      32
//   +-------+---------+----------+-------+-------+--------+-------+-------+----------------+
//   |parent |literal  |literal   |param  |exact  |prefix  |regex  |zero   |literal bytes,  |
//   |node   |size     |children  |child  |list   |list    |list   |       |zeros to 8      |
//   +-------+---------+----------+-------+-------+--------+-------+-------+----------------+
// 0 in a child or list word means none. Only a root node has a regex list.
export const NODE_HEADER_SIZE_BYTES = 32;
export const NODE_PARENT_OFFSET = 0;
export const NODE_LITERAL_SIZE_OFFSET = 4;
export const NODE_LITERAL_CHILDREN_COUNT_OFFSET = 8;
export const NODE_PARAM_CHILD_OFFSET = 12;
export const NODE_EXACT_LIST_OFFSET = 16;
export const NODE_PREFIX_LIST_OFFSET = 20;
export const NODE_REGEX_LIST_OFFSET = 24;
export const NODE_LITERAL_OFFSET = 32;

// LIST, the routes of one path pattern in their order of precedence; an entry:
//   0                 4             8                16
//   +-----------------+-------------+----------------+
//   |route            |conditions,  |methods: 64 bits|   bit 31 of route: last entry
//   |                 |0 = none     |bit = method id |   all bits of methods: any method
//   +-----------------+-------------+----------------+
export const ENTRY_SIZE_BYTES = 16;
export const ENTRY_ROUTE_OFFSET = 0;
export const ENTRY_CONDITIONS_OFFSET = 4;
export const ENTRY_METHODS_OFFSET = 8;
export const ENTRY_LAST_BIT = 31;
export const ENTRY_ROUTE_MASK = 0x7fff_ffff;

// CONDITIONS of a route: [count] then `count` of [field index][operation][value size][value, to 4]
export const CONDITIONS_HEADER_SIZE_BYTES = 4;
export const CONDITION_HEADER_SIZE_BYTES = 12;
export const CONDITION_FIELD_OFFSET = 0;
export const CONDITION_OP_OFFSET = 4;
export const CONDITION_VALUE_SIZE_OFFSET = 8;
export const CONDITION_VALUE_OFFSET = 12;
export const CONDITION_OP_EQUALS = 0;
export const CONDITION_OP_PRESENT = 1;
export const CONDITION_OP_PREFIX = 2;

// HOST RECORD    [root node][size][bytes]: `example.com`, or `.example.com` for `*.example.com`
export const HOST_ROOT_OFFSET = 0;
export const HOST_SIZE_OFFSET = 4;
export const HOST_BYTES_OFFSET = 8;

// FIELD RECORD   [field index][kind][name size][name bytes, to 4]; the records lie in a row
export const FIELD_INDEX_OFFSET = 0;
export const FIELD_KIND_OFFSET = 4;
export const FIELD_NAME_SIZE_OFFSET = 8;
export const FIELD_NAME_OFFSET = 12;
export const FIELD_KIND_HEADER = 0;
export const FIELD_KIND_QUERY = 1;
/** Distinct header and query names in the conditions of one table. */
export const FIELDS_COUNT_MAX = 256;

// METHOD RECORD  [name size][name bytes, to 4]; the records lie in a row; ids count from
// METHOD_FIRST_CUSTOM. The methods of RFC 9110 and RFC 5789 have fixed ids below it.
export const METHOD_FIRST_CUSTOM = 9;
/** A method no route names: its bit is set only where any method matches. */
export const METHOD_OTHER = 63;

// SCRATCH, one per worker; offsets count from its first byte
//   0       256     512    1024    3072     4608       6144          7168
//   +-------+-------+------+-------+--------+----------+-------------+
//   |result |state  |host  |roots  |frames  |segments  |field heads  |
//   +-------+-------+------+-------+--------+----------+-------------+
//   7168            15424          23680                       49152            65536
//   +---------------+--------------+---------------------------+----------------+
//   |path 8 KiB + 64|query 8 KiB+64|field values               |not the router's|
//   +---------------+--------------+---------------------------+----------------+
export const ROUTER_SCRATCH_SIZE_BYTES = 49152;

// RESULT   [flags][parameters count][path size][suffix start] at 16: 16 x [start][end]
// Positions are bytes of the normalised path.
export const RESULT_FLAGS_OFFSET = 0;
export const RESULT_PARAMS_COUNT_OFFSET = 4;
export const RESULT_PATH_SIZE_OFFSET = 8;
/** Where what a prefix route matched beyond its prefix begins, with its `/`; else the path size. */
export const RESULT_SUFFIX_START_OFFSET = 12;
export const RESULT_PARAMS_OFFSET = 16;
/** The candidate's path is a regular expression that the host has to test. */
export const RESULT_FLAG_HOST_CHECK = 1;

// STATE    what next() needs to go on from where the last candidate was found
export const STATE_TABLE_OFFSET = 256;
export const STATE_METHOD_OFFSET = 260;
export const STATE_SEGMENTS_COUNT_OFFSET = 264;
/** Index into the roots of the one being walked. */
export const STATE_ROOT_OFFSET = 268;
export const STATE_DEPTH_OFFSET = 272;
export const STATE_PARAMS_COUNT_OFFSET = 276;
/** Address of the next entry to look at; 0 when the list is used up. */
export const STATE_ENTRY_OFFSET = 280;
/** Kind of that list: LIST_EXACT, LIST_PREFIX or LIST_REGEX. */
export const STATE_LIST_OFFSET = 284;
/** Whether header and query values have been loaded for this request. */
export const STATE_FIELDS_LOADED_OFFSET = 288;
/** First of the roots, set with the host and kept while the authority stays the same. */
export const STATE_FIRST_ROOT_OFFSET = 292;
/** Segment indexes of the captured parameters, 16 words. */
export const STATE_PARAMS_OFFSET = 320;
export const LIST_EXACT = 0;
export const LIST_PREFIX = 1;
export const LIST_REGEX = 2;

export const HOST_AREA_OFFSET = 512;
/** Without a port. */
export const HOST_SIZE_BYTES_MAX = 261;

// ROOTS    root nodes that the host selects, most specific first, filled from the end; the last is
// the root for any host. One per dot of the host at most, so that 264 of 512 words can be in use.
export const ROOTS_OFFSET = 1024;
export const ROOTS_COUNT_MAX = 512;

// FRAMES   one per depth: [node][stage]
export const FRAMES_OFFSET = 3072;
export const FRAME_SIZE_BYTES = 8;
export const FRAME_STAGE_OFFSET = 4;

// SEGMENTS one per segment: [start][hash, 0 = not computed], and an end mark with only a start
export const SEGMENTS_OFFSET = 4608;
export const SEGMENT_SIZE_BYTES = 8;
export const SEGMENT_HASH_OFFSET = 4;
export const SEGMENTS_COUNT_MAX = 128;

// FIELD HEADS  one word per field index: the first of its values, 0 for none
export const FIELD_HEADS_OFFSET = 6144;

export const PATH_OFFSET = 7168;
export const PATH_SIZE_BYTES_MAX = 8192;
export const QUERY_OFFSET = 15424;
export const QUERY_SIZE_BYTES_MAX = 8192;

// FIELD VALUES [next value's offset in scratch, 0 = none][size][bytes, to 4], in a row
export const VALUES_OFFSET = 23680;
export const VALUES_END_OFFSET = 49152;
export const VALUE_NEXT_OFFSET = 0;
export const VALUE_SIZE_OFFSET = 4;
export const VALUE_BYTES_OFFSET = 8;

/** Answer of match and next: a candidate has conditions and the request's fields are not loaded.
 *  Load them and call next: it goes on with the same candidate. Stays between kernel and face. */
export const ROUTER_NEEDS_FIELDS = -100;

// HASHES   of a segment: eight bytes a step, the last step's missing bytes taken as zero
//   hash = size;  hash = rotl(imul(low ^ hash, A) + imul(high, B), 13);  0 becomes 1
// slotKey: mixes the parent node's offset with the segment's hash
//   key = hash ^ imul(parent, C);  key ^= key >>> 16;  key = imul(key, D);  key ^= key >>> 15
// of a host and of a field's name: FNV-1a, the host's from its last byte to its first
export const HASH_A = 0x2545_f491;
export const HASH_B = 0x1b87_3593;
export const HASH_C = 0x4cf5_ad43;
export const HASH_D = 0x1656_67b1;
export const HASH_ROTATION = 13;
export const FNV_BASIS = 0x011c_9dc5;
export const FNV_PRIME = 0x0100_0193;
