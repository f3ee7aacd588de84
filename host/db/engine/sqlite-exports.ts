// The part of SQLite's C interface that the engine calls. Pointers and lengths are numbers, 64-bit
// integers are bigints, results are result codes unless said otherwise.

type Pointer = number;

export interface SqliteExports {
  readonly __indirect_function_table: WebAssembly.Table;
  __wasm_call_ctors(): void;
  malloc(sizeBytes: number): Pointer;
  free(pointer: Pointer): void;

  sqlite3_initialize(): number;
  sqlite3_libversion(): Pointer;
  sqlite3_vfs_find(name: Pointer): Pointer;
  sqlite3_vfs_register(vfs: Pointer, makeDefault: number): number;
  sqlite3_vfs_unregister(vfs: Pointer): number;
  sqlite3__wasm_db_config_ip(db: Pointer, option: number, on: number, out: Pointer): number;

  sqlite3_open_v2(name: Pointer, out: Pointer, flags: number, vfs: Pointer): number;
  sqlite3_close_v2(db: Pointer): number;
  sqlite3_limit(db: Pointer, id: number, value: number): number;
  sqlite3_extended_result_codes(db: Pointer, on: number): number;
  sqlite3_progress_handler(db: Pointer, ops: number, callback: number, arg: number): void;
  sqlite3_set_authorizer(db: Pointer, callback: number, arg: number): number;
  sqlite3_db_status(db: Pointer, op: number, now: Pointer, high: Pointer, reset: number): number;
  sqlite3_exec(db: Pointer, sql: Pointer, callback: number, arg: number, out: Pointer): number;
  sqlite3_interrupt(db: Pointer): void;
  sqlite3_get_autocommit(db: Pointer): number;
  sqlite3_changes(db: Pointer): number;
  sqlite3_total_changes(db: Pointer): number;
  sqlite3_last_insert_rowid(db: Pointer): bigint;
  sqlite3_set_last_insert_rowid(db: Pointer, rowid: bigint): void;
  sqlite3_create_function_v2(
    db: Pointer,
    name: Pointer,
    argumentCount: number,
    flags: number,
    data: Pointer,
    run: number,
    step: number,
    final: number,
    destroy: number,
  ): number;
  sqlite3_result_int64(context: Pointer, value: bigint): void;
  /** Where the stack of C is from now on. */
  _emscripten_stack_restore(top: Pointer): void;
  sqlite3_errmsg(db: Pointer): Pointer;
  sqlite3_errstr(code: number): Pointer;
  sqlite3_extended_errcode(db: Pointer): number;

  sqlite3_prepare_v3(
    db: Pointer,
    sql: Pointer,
    sizeBytes: number,
    flags: number,
    outStatement: Pointer,
    outTail: Pointer,
  ): number;
  sqlite3_step(statement: Pointer): number;
  sqlite3_reset(statement: Pointer): number;
  sqlite3_finalize(statement: Pointer): number;
  sqlite3_clear_bindings(statement: Pointer): number;
  sqlite3_stmt_readonly(statement: Pointer): number;
  sqlite3_stmt_isexplain(statement: Pointer): number;
  sqlite3_stmt_status(statement: Pointer, op: number, reset: number): number;

  sqlite3_bind_parameter_count(statement: Pointer): number;
  sqlite3_bind_parameter_name(statement: Pointer, index: number): Pointer;
  sqlite3_bind_null(statement: Pointer, index: number): number;
  sqlite3_bind_int64(statement: Pointer, index: number, value: bigint): number;
  sqlite3_bind_double(statement: Pointer, index: number, value: number): number;
  sqlite3_bind_text(s: Pointer, index: number, text: Pointer, n: number, kind: number): number;
  sqlite3_bind_blob(s: Pointer, index: number, bytes: Pointer, n: number, kind: number): number;

  sqlite3_column_count(statement: Pointer): number;
  sqlite3_column_name(statement: Pointer, index: number): Pointer;
  sqlite3_column_decltype(statement: Pointer, index: number): Pointer;
  sqlite3_column_type(statement: Pointer, index: number): number;
  sqlite3_column_double(statement: Pointer, index: number): number;
  sqlite3_column_int64(statement: Pointer, index: number): bigint;
  sqlite3_column_text(statement: Pointer, index: number): Pointer;
  sqlite3_column_blob(statement: Pointer, index: number): Pointer;
  sqlite3_column_bytes(statement: Pointer, index: number): number;
}
