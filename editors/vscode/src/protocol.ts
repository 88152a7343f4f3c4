// What travels between an editor and pillion. Made from src/protocol by tests/client_types: do not edit.

/** The version of the protocol that these types describe; `initialize` answers with it. */
export const PROTOCOL_VERSION = 1;

/** Exactly one for each run that did not end by itself. The committed row never changes; `late_cancels`, the answered hop and a later title state are rows of their own, joined when the record is exported. */
export type Abort = {
  abort_id: AbortId;
  attempt_id?: AttemptId;
  boot_id: string;
  came_down_from?: Scope;
  /** The process that ran the turn died before the turn had ended. If nobody had asked for a stop, that is the cause. */
  crash?: Crash;
  error_message?: string;
  error_name?: string;
  /** The run did not stop within the grace and was ended from outside. */
  forced: boolean;
  /** Who asked, how hard, and when (wall clock, milliseconds since 1970). Absent where nobody did: a fault, a limit. */
  initiator?: Initiator;
  /** Cancels that came after this one had won. */
  late_cancels: CancelId[];
  /** The assistant's message of the turn. */
  message_id: MessageId;
  /** What could not be known or was dropped as invalid. */
  missing: string[];
  mode?: CancelMode;
  /** Wall clock when that was noticed for which nobody had asked. */
  noticed_at?: number;
  /** The user's message that the turn answers. */
  parent_id: MessageId;
  partial: Partial;
  phase: Phase;
  /** The request whose answer this abort shaped; absent if its row could not be read. */
  prompt_request?: PromptRequest;
  /** Hops in the order in which they happened. */
  propagation: Hop[];
  /** The hop that ended the work. */
  propagation_point: string;
  reason?: string;
  /** Wall clock when the runner recorded it. */
  recorded_at: number;
  request?: RequestRef;
  requested_at?: number;
  /** What this abort was not, as far as the facts show. */
  ruled_out: string[];
  session_id: SessionId;
  /** Monotonic microseconds to the end of the run from when the stop was asked for, or noticed. */
  settle_us: number;
  /** Wall clock when the run had ended. */
  settled_at: number;
  source?: string;
  title_generation_state: TitleState;
  title_run_id?: TitleRunId;
  tools_in_flight: ToolInFlight[];
  turn_id: TurnId;
  /** It came down through an enclosing scope (`came_down_from`), not as a request to this run. */
  via_ctx_abort: boolean;
} & Cause;

/** The record of what ended a run. */
export type AbortId = string;

/** Something about an answer that did not fail it. */
export interface AnswerNote {
  kind: NoteKind;
  /** The provider's words, or the names of calls. */
  message: string;
}

/** A tool call that the model had begun to write; nothing of it is kept. */
export interface ArrivingCall {
  /** Of its input, as far as it had arrived. */
  bytes: number;
  call_id?: string;
  /** As the model wrote it; absent if it had not named it yet. */
  tool?: string;
}

/** The call that wants to run, with what it would change. */
export interface AskedCall {
  content?: ToolCallContent[];
  kind: ToolKind;
  locations?: ToolLocation[];
  rawInput: unknown;
  status: ToolCallStatus;
  title: string;
  toolCallId: string;
}

/** One try of a step's model call. */
export type AttemptId = string;

/** Which side of the stream a failure came from. */
export type Boundary =
  | "provider_error"
  | "transport"
  | "protocol"
  /** A time limit of pillion's own was over. */
  | "watchdog";

/** What a turn can use up. */
export type BudgetUnit =
  /** Calls of the model; a call with all its attempts is one. */
  | "model_calls"
  /** Calls that the model asked for, whatever came of them. */
  | "tool_calls"
  /** Tokens that the provider said the model had written. */
  | "output_tokens";

/** One demand to stop, effective or not. */
export type CancelId = string;

/** How hard to stop: soft waits for a question that the user is being asked, hard withdraws it. */
export type CancelMode =
  | "soft"
  | "hard";

/** What a demand to stop came to. */
export type CancelOutcome =
  | "cancelled"
  | "already_stopping"
  | "already_settled"
  | "idle"
  | "ignored_awaiting_answer"
  | "not_owner"
  | "unknown_session"
  /** A signal that is not meant for pillion: SIGINT, while its client is a program. */
  | "ignored_signal";

/** `session/cancel`, as a request or as a notification. */
export interface CancelParams {
  initiator?: Initiator;
  mode?: CancelMode;
  reason?: string;
  sessionId: SessionId;
  source?: string;
  /** Only this turn. */
  turnId?: TurnId;
}

/** Any demand to stop, effective or not. */
export type CancelRequest = {
  abort_id?: AbortId;
  /** The `turnId` that was asked for, as the client wrote it, when that is not the turn that it came to be about: it may name nothing. */
  asked_turn_id?: string;
  /** Wall clock, milliseconds since 1970. */
  at: number;
  cancel_id: CancelId;
  /** Who demands it, and how hard. Absent for a limit, which nobody asks for. */
  initiator?: Initiator;
  missing: string[];
  mode?: CancelMode;
  outcome: CancelOutcome;
  reason?: string;
  request?: RequestRef;
  /** The store's order; set when the record is read back. */
  seq?: number;
  session_id: SessionId;
  source?: string;
  /** The turn that it came to be about. */
  turn_id?: TurnId;
} & Cause;

/** `session/cancel` with an id. */
export interface CancelResult {
  abort?: Abort;
  abortId?: AbortId;
  outcome: CancelOutcome;
  turnId?: TurnId;
}

/** What `initialize` says of pillion itself: under `capabilities.experimental.pillion` in LSP, under `agentCapabilities._meta.pillion` in ACP. */
export interface Capabilities {
  /** The methods that can be called besides those of the dialect itself. */
  methods: string[];
  protocolVersion: number;
}

/** What stopped a run, with the data that belongs to it. On the wire: `"cause": "signal", "signal_name": "SIGTERM"`. */
export type Cause =
  /** `session/cancel`, as a request or as a notification. */
  | { cause: "client_cancel" }
  /** `$/cancelRequest` or `$/cancel_request` named the prompt. */
  | { cause: "rpc_cancel" }
  /** A prompt with `whenBusy: supersede` took its place. */
  | { cause: "superseded_by_prompt"; superseding_turn_id: TurnId }
  /** The editor closed its end of stdin. */
  | { cause: "client_eof" }
  /** A header block of the editor's made no sense, so nobody can tell where its next message begins. */
  | { cause: "client_framing_broken" }
  /** Writing to the editor failed. */
  | { cause: "client_write_failed" }
  /** The process that the editor named, or our parent, is gone. */
  | { cause: "client_process_died"; pid: number }
  | { cause: "shutdown_request" }
  | { cause: "exit_without_shutdown" }
  | { cause: "signal"; signal_name: string }
  /** A time limit: no connection to the provider came about. */
  | { cause: "connect_timeout"; limit_ms: number }
  /** A time limit: the request was sent, and no answer began. */
  | { cause: "first_byte_timeout"; limit_ms: number }
  /** A time limit: an answer had begun, and nothing more of it came. */
  | { cause: "idle_stream_timeout"; limit_ms: number }
  /** A time limit: the whole turn took too long. */
  | { cause: "turn_timeout"; limit_ms: number }
  /** A time limit: a tool call took too long. */
  | { cause: "tool_timeout"; limit_ms: number }
  /** The provider answered with an HTTP status that is an error. */
  | { cause: "provider_http"; http_status: number }
  /** The connection to the provider failed or broke. */
  | { cause: "provider_transport" }
  /** The conversation is longer than the model's context holds. */
  | { cause: "context_overflow" }
  /** The provider's bytes made no sense, or it reported an error inside the stream. */
  | { cause: "provider_protocol" }
  /** The turn had used up what it is allowed; what would have come next did not begin. */
  | { cause: "budget"; limit: number; setting: string; unit: BudgetUnit }
  /** The model asked for the same tool call again and again; the calls beyond the limit did not start. */
  | { cause: "loop_guard" } & Repetition
  /** The store could not keep the turn. */
  | { cause: "store_failure" }
  | { cause: "session_closed" }
  | { cause: "session_deleted" }
  /** A defect of pillion's own, contained. */
  | { cause: "internal_panic"; panicked_at?: Place }
  /** The process that ran the turn died; another one found it later. */
  | { cause: "crash_recovered" }
  /** Read from a foreign or newer record; never written by this version. */
  | { cause: "unknown" };

/** The program at the other end of the connection, as it named itself in `initialize`. */
export interface Client {
  name: string;
  version?: string;
}

/** The client's process. */
export interface ClientProcess {
  known_from: KnownFrom;
  pid: number;
}

/** Who closed it. */
export type ClosedBy =
  /** pillion let go of it before the provider had ended it. */
  | "us"
  /** The provider: by the end of the answer, or by closing the connection. */
  | "provider"
  /** It broke, and nobody can tell at which end. */
  | "unknown"
  /** The request had not been handed to a connection, or there is none to a model in this process. */
  | "not_open";

/** The output of a command that the stop ended. */
export interface CommandOutput {
  /** All that pillion had read of it. */
  bytes: number;
  call_id: string;
  /** What of that can still be read: in the call's result, or in the file that it names. */
  kept_bytes: number;
}

/** Whether anything was still running, unreadable or not yet recorded when the snapshot was taken. */
export type Completeness =
  | "complete"
  | "partial";

/** How sure the classification is. */
export type Confidence =
  | "certain"
  | "likely";

/** One value of a `ConfigOption`. */
export interface ConfigChoice {
  name: string;
  value: string;
}

/** A setting of one session that the client can show as a choice. */
export interface ConfigOption {
  category?: string;
  currentValue: string;
  description: string;
  id: string;
  name: string;
  options: ConfigChoice[];
  type: ConfigOptionType;
}

/** How a setting is shown. */
export type ConfigOptionType =
  | "select";

/** `session/set_config_option`. */
export interface ConfigResult {
  configOptions: ConfigOption[];
}

/** What ended a connection. */
export type ConnectionEnd =
  | "exit_without_shutdown"
  | "framing_broken"
  | "write_failed"
  | "process_died"
  | "signal"
  | "panic"
  /** The client closed its end of stdin. */
  | "eof"
  /** `exit`, after `shutdown`. */
  | "exit";

/** One editor connection; request ids are unique only within it. */
export type ConnectionId = string;

/** One connection. Its beginning is on record before anything that names it, the rest when it has ended: without `closed_at` it is open, or the process that served it died. */
export interface ConnectionRecord {
  /** Absent if it did not say. */
  client?: Client;
  closed_at?: number;
  closed_by?: ConnectionEnd;
  connection_id: ConnectionId;
  /** The last message that was read from the client. */
  last_read?: LastMessage;
  /** The last message that was written to the client, to its last byte. */
  last_written?: LastMessage;
  /** Wall clock, milliseconds since 1970. */
  opened_at: number;
  /** Absent if it cannot be known. */
  process?: ClientProcess;
  signal_name?: string;
  transport: Transport;
}

/** One piece of a prompt or of a message. Fields that pillion does not use are kept as they came. */
export type ContentBlock =
  | { text: string; type: "text" }
  /** A resource that the client read itself and sends along. */
  | { resource: EmbeddedResource; type: "resource" }
  /** A picture that a tool gave. In a prompt pillion takes none. */
  | { data: string; mimeType: string; type: "image" }
  /** A pointer to a resource that the model may read with its tools. */
  | { name: string; type: "resource_link"; uri: string };

/** The death of a process. Nobody saw it: it came between the last sign of life and the moment in which it was found. */
export interface Crash {
  boot_id: string;
  /** When and by which process it was found; the boot of that one is the record's own `boot_id`. */
  found_at: number;
  found_by: number;
  /** What the newest row of the turn that has a time is of, and that time: wall clock, milliseconds since 1970. */
  last_sign: SignOfLife;
  last_sign_at: number;
  /** The process that died, and the boot that it ran in. */
  pid: number;
}

/** What an answer says about its own turn; the export says the same and more. */
export interface Diagnostics {
  abort?: Abort;
  cancel_requests?: CancelRequest[];
  stream_traces?: StreamTrace[];
  title_generation?: TitleGeneration;
  /** The calls that the abort ended or kept from starting. */
  tool_runs?: ToolRun[];
}

/** What the client can do for a turn, as far as it has said or shown it. */
export interface EditorSkills {
  /** Changes documents that it has open. */
  edits: boolean;
  questions: QuestionForm;
  /** Reads files, with what is not saved. */
  reads: boolean;
  writes: boolean;
}

/** What a tool can do to the world. */
export type Effect =
  | "read"
  | "write"
  /** Nothing outside of the conversation. */
  | "none"
  /** It runs a program. */
  | "process"
  /** It runs a program that may reach the network. */
  | "network";

/** The contents of a `ContentBlock::Resource`. */
export interface EmbeddedResource {
  mimeType?: string;
  text?: string;
  uri: string;
}

/** What pillion tells of a listed session beyond ACP. */
export interface EntryExtras {
  /** The turns that have begun and have no end, the oldest first. */
  openTurns: OpenTurnEntry[];
}

/** The `_meta` of a `SessionEntry`. */
export interface EntryMeta {
  pillion: EntryExtras;
}

/** Every diagnostic record of the tree, in the store's order. */
export interface ExportDiagnostics {
  aborts: Abort[];
  cancel_requests: CancelRequest[];
  /** The connections that the aborts and the cancel requests name. */
  connections: ConnectionRecord[];
  incidents: Incident[];
  lifecycle: LifecycleEvent[];
  stream_traces: StreamTrace[];
  title_generations: TitleGeneration[];
  tool_runs: ToolRun[];
  turn_bases: TurnBasis[];
  /** Absent for a turn whose process died in it. */
  turn_times: TurnTime[];
}

/** `session/export`. */
export interface ExportParams {
  /** Write to this absolute path, which must not exist, instead of answering with the document. */
  path?: string;
  /** Off: the full texts. Known keys are left out all the same. */
  sanitize?: boolean;
  sessionId: SessionId;
}

/** `session/export`: the document itself, or (with `path`) where it was written. */
export interface ExportResult {
  bytes?: number;
  export?: SessionExport;
  path?: string;
  sha256?: string;
}

/** One hop of a stop on its way to the work. */
export interface Hop {
  /** Monotonic microseconds since the stop was asked for, or noticed. */
  at_us: number;
  point: string;
}

/** Something went wrong that is no turn's abort: a record that was unreadable, a panic that was contained. */
export interface Incident {
  at: number;
  message: string;
  /** `handler_panic`: the method of the request that broke. */
  method?: string;
  name: string;
  /** Of a panic: where in pillion's code it was. */
  panicked_at?: Place;
  /** `unreadable_row`: which row of the store, by its table and its number there. */
  row?: string;
  seq?: number;
  /** Absent if it was of no session; such a one is in no export. */
  session_id?: SessionId;
  turn_id?: TurnId;
}

/** What pillion tells of a session beyond ACP. */
export interface InfoExtras {
  note?: NoteNotice;
  retry?: RetryNotice;
}

/** The `_meta` of a `session_info_update`. */
export interface InfoMeta {
  pillion: InfoExtras;
}

/** Who asked, as the client declared it; `unknown` when it declared nothing. */
export type Initiator =
  | "user"
  | "program"
  | "unknown";

/** Something that the model was told to obey. */
export interface Instruction {
  bytes: number;
  kind: InstructionKind;
  /** Absolute, of one that is a file. */
  path?: string;
  /** Of the text as the model was told it. */
  sha256: string;
}

/** Where an instruction comes from. */
export type InstructionKind =
  /** pillion's own, the same for every model and workspace. */
  | "built_in"
  /** The workspace's `AGENTS.md`. */
  | "workspace";

/** Who said which process the client is. */
export type KnownFrom =
  /** The client itself, as `processId`. */
  | "initialize"
  /** The system, of the socket that is stdin. */
  | "socket_peer"
  /** It started pillion. */
  | "parent";

/** What a turn can be at. What it does between two waits belongs to what it is at. */
export type Lane =
  /** The session is opened, and its workspace looked at. */
  | "opening"
  /** Another turn has the session. */
  | "queue"
  /** What another process has added to the session is read; if it died, its turn is closed first. */
  | "catching_up"
  /** What must be on record before it goes on is stored. */
  | "store"
  /** A request to the model is made and sent. */
  | "model_connect"
  /** The model has the request, and nothing of its answer has come. */
  | "model_wait"
  /** The model's answer comes. */
  | "model_stream"
  /** The client does not read what there is for it. */
  | "client"
  /** Tools are planned and run, or a command of the user's own runs. */
  | "tools"
  /** The client has been asked a question, and nothing else can go on. */
  | "question"
  /** The editor is to read or change a document. */
  | "editor"
  /** A model call has failed and is made again in a while. */
  | "backoff"
  /** The end of the turn is stored. */
  | "commit"
  /** The answer is on its way to the connection. */
  | "answer";

/** A message of a connection. */
export interface LastMessage {
  /** Wall clock, milliseconds since 1970. */
  at: number;
  /** Of an answer, the id of its request. A notification has none. */
  id?: RequestId;
  /** `response` for an answer; `unknown` for a method that pillion does not serve. */
  method: string;
}

/** A point in a turn's life: accepted, started, answered. */
export interface LifecycleEvent {
  /** Wall clock, milliseconds since 1970. */
  at: number;
  /** Microseconds since the stop was asked for; only where an abort ended the turn. */
  at_us?: number;
  event: LifecyclePoint;
  seq?: number;
  session_id: SessionId;
  turn_id: TurnId;
}

/** The points that are recorded. */
export type LifecyclePoint =
  | "started"
  /** The prompt was taken; the turn may have to wait. */
  | "accepted"
  /** The prompt's answer was given to the connection. */
  | "answered";

/** `session/list`. */
export interface ListSessionsParams {
  /** `nextCursor` of the page before. */
  cursor?: string;
  cwd?: string;
}

/** `session/list`: newest first. */
export interface ListSessionsResult {
  nextCursor?: string;
  sessions: SessionEntry[];
}

/** What a provider means by an error. */
export type Meaning =
  /** Too much was asked in too short a time. */
  | "rate_limited"
  /** The account has nothing left. */
  | "quota_exhausted"
  /** The server has too much to do. */
  | "overloaded"
  /** The server is still loading the model. */
  | "loading"
  /** It does not take a part of the request, and is asked without it. */
  | "unsupported";

/** One message of a conversation. */
export interface Message {
  /** Wall clock, milliseconds since 1970. */
  created_at: number;
  message_id: MessageId;
  /** The model that wrote it, as `provider:model`. */
  model?: string;
  parts: Part[];
  role: Role;
  turn_id?: TurnId;
}

/** One message of a conversation. */
export type MessageId = string;

/** What happens without a rule. */
export type Mode =
  /** Nothing is changed and nothing is run. */
  | "read_only"
  /** Changes and commands are asked about. */
  | "ask"
  /** Files of the workspace are changed without a question; commands are asked about. */
  | "auto_edit";

/** `session/new`. */
export interface NewSessionParams {
  /** The workspace: an absolute path of a directory that exists. */
  cwd?: string;
  mcpServers?: unknown[];
  model?: string;
  /** Chosen by the client, 1-80 characters of `[A-Za-z0-9._:-]`; refused if it is taken. */
  sessionId?: SessionId;
  title?: string;
}

/** `session/new`. */
export interface NewSessionResult {
  configOptions: ConfigOption[];
  modes: SessionModes;
  /** What was sent but has no effect, in plain words. */
  notices?: string[];
  sessionId: SessionId;
}

/** What about an answer was out of the ordinary. */
export type NoteKind =
  /** An error came behind the end of an answer that had finished. */
  | "late_error"
  /** The finish reason is none that pillion knows. */
  | "unknown_finish_reason"
  /** The answer was cut off or refused: its tool calls did not run. */
  | "call_not_run"
  /** The model ended in order to call tools, and no call had come. */
  | "call_missing"
  /** The model takes no tools: it is asked without them. */
  | "without_tools"
  /** The server does not take something else of the request, which is left out or written otherwise. */
  | "left_out"
  /** Something came that no protocol knows. */
  | "passed_over"
  /** The provider does not say how much the model writes, so `budget.output_tokens` cannot be enforced. */
  | "budget_not_counted";

/** Something about the model's answer that did not fail it. */
export interface NoteNotice {
  /** As the stream trace names it. */
  kind: NoteKind;
  /** The same for a person. */
  sentence: string;
}

/** `session/load` and `session/resume`. */
export interface OpenSessionParams {
  /** Must be the session's own directory when given. */
  cwd?: string;
  mcpServers?: unknown[];
  sessionId: SessionId;
}

/** `session/load`, `session/resume`. */
export interface OpenSessionResult {
  configOptions: ConfigOption[];
  modes: SessionModes;
  notices?: string[];
  /** The turns of the session that the model did not end, in order. */
  stops?: StopEntry[];
  title?: string;
}

/** A turn without an end. */
export interface OpenTurnEntry {
  /** `false`: the process has died, and the end of the turn could not be recorded. */
  isRunning: boolean;
  /** The process that runs it, or ran it. */
  pid: number;
  /** When it began: RFC 3339, UTC. */
  since: string;
  turnId: TurnId;
}

/** A piece of a message. Which optional fields stand depends on `kind`. */
export interface Part {
  /** `tool_call`, `tool_result`. */
  call_id?: string;
  /** `tool_result` that is a picture, of this `mime_type`: its bytes in base64. */
  data?: string;
  /** `tool_result` of a process: its exit code. */
  exit_code?: number;
  /** `tool_call`: the arguments as the model wrote them; text, if they are no JSON object or nest too deep. */
  input?: unknown;
  kind: PartKind;
  mime_type?: string;
  /** `resource_link`. */
  name?: string;
  /** `tool_result` of a process that a signal ended: the signal's name. */
  signal?: string;
  /** `state`, `tool_call`: what the provider gave with the step or the call, and wants back unchanged. JSON. */
  state?: string;
  /** The model that gave it, as `provider:model`; it is given to no other. */
  state_of?: string;
  /** `tool_result`: how the call ended. */
  status?: ResultStatus;
  /** `text`, `reasoning`, a `command`, a `tool_result`'s output, an embedded `resource`'s text. */
  text?: string;
  /** `tool_call`: the name as the model wrote it. */
  tool?: string;
  /** `resource`, `resource_link`. */
  uri?: string;
}

/** What a part is. */
export type PartKind =
  | "text"
  | "reasoning"
  | "tool_call"
  | "tool_result"
  | "resource"
  | "resource_link"
  /** What the provider gave with a step for itself: nobody reads it, and nobody is shown it. */
  | "state"
  /** A shell command that the user ran; the whole of a user's message. What came of it is a tool call with its result in the answer. */
  | "command";

/** How much of the turn's output existed, and how much of it is kept. */
export interface Partial {
  bytes_unsent?: number;
  /** What the commands had written that ran when the turn was stopped; absent if none had written anything. */
  command_outputs?: CommandOutput[];
  /** Wall clock of the last byte that the client's pipe had taken; only if no more went into it. */
  not_read_since?: number;
  persisted_bytes: number;
  reasoning_bytes: number;
  text_bytes: number;
  /** Tool calls that the model had begun to write and that were never made, if there were any. */
  tool_inputs?: ArrivingCall[];
  /** How many more of them there were than are listed, if there were more. */
  tool_inputs_not_listed?: number;
  /** Updates that were written to the client's pipe, to the last byte. */
  updates_sent: number;
  /** Updates that were waiting to be written when the turn had ended, if any were. */
  updates_unsent?: number;
}

/** On whose word a call ran, or did not. */
export type Permission =
  /** Nobody's is needed. */
  | "default"
  /** A rule of the user's settings. */
  | "rule"
  /** A rule of the workspace's own. */
  | "workspace_rule"
  /** The session's mode. */
  | "mode"
  /** The client's answer, given before for the whole session. */
  | "remembered"
  /** The client answered yes; whether a person did is not known. */
  | "allowed"
  /** The client answered no. */
  | "rejected"
  /** The client put the question away without an answer. */
  | "dismissed"
  /** The client cannot ask. */
  | "unanswerable"
  /** Nobody answered in time. */
  | "timed_out"
  /** The turn was stopped before there was an answer. */
  | "withdrawn"
  /** A limit of the turn's own: it was over before the call could start. */
  | "limit";

/** What can be chosen; ACP's kinds of options. */
export type PermissionChoice =
  | "allow_once"
  | "reject_once"
  /** The same call need not be asked about again while the session is open. */
  | "allow_always"
  /** The same call is refused while the session is open. */
  | "reject_always";

/** The `_meta` of `PermissionParams`. */
export interface PermissionMeta {
  pillion: PermissionPlace;
}

/** One answer that can be chosen. */
export interface PermissionOption {
  kind: PermissionChoice;
  name: string;
  optionId: PermissionChoice;
}

/** What came of the question. */
export type PermissionOutcome =
  | { optionId: PermissionChoice; outcome: "selected" }
  /** The turn was stopped before anybody chose. */
  | { outcome: "cancelled" };

/** `session/request_permission`, a request of pillion's. */
export interface PermissionParams {
  _meta: PermissionMeta;
  options: PermissionOption[];
  sessionId: SessionId;
  toolCall: AskedCall;
}

/** The turn that asks. */
export interface PermissionPlace {
  messageId: MessageId;
  /** The id of this very request, for clients whose library hides it: a withdrawal names it. */
  requestId: number;
  turnId: TurnId;
}

/** The client's answer. */
export interface PermissionResult {
  outcome: PermissionOutcome;
}

/** What the run was doing when the stop was recorded. */
export type Phase =
  | "queued"
  | "before_request"
  | "waiting_for_model"
  | "reasoning"
  | "text"
  | "tool_input"
  | "awaiting_permission"
  | "tool_running"
  | "persisting"
  /** The model had asked for a tool call, or a person for a command, and it had not started. */
  | "before_tool"
  /** A model call had failed and was to be made again after a wait. */
  | "retry_backoff";

/** A line of pillion's code. */
export interface Place {
  file: string;
  line: number;
}

/** One step of a plan. */
export interface PlanEntry {
  content: string;
  priority: PlanPriority;
  status: PlanStatus;
}

/** How much a step of a plan matters. */
export type PlanPriority =
  | "high"
  | "medium"
  | "low";

/** How far a step of a plan is. */
export type PlanStatus =
  | "pending"
  | "in_progress"
  | "completed";

/** `session/prompt`. */
export interface PromptParams {
  prompt: ContentBlock[];
  sessionId: SessionId;
  whenBusy?: WhenBusy;
}

/** The `session/prompt` or `session/shell` that started the turn. */
export interface PromptRequest {
  /** Absent if it did not say who it is. */
  client?: Client;
  connection_id: ConnectionId;
  id: RequestId;
  /** As the client wrote it; absent in records of earlier versions, as is `transport`. */
  method?: string;
  transport?: Transport;
}

/** `session/prompt`. */
export interface PromptResult {
  diagnostics: Diagnostics;
  /** The `seq` of the turn's last update; 0 if it sent none. */
  lastUpdate: number;
  messageId: MessageId;
  /** The model that answered, as `provider:model`; absent when none was asked. */
  model?: string;
  /** Why the turn was stopped, in one plain sentence to show; absent when the model ended it. */
  sentence?: string;
  stopReason: StopReason;
  turnId: TurnId;
  usage: PromptUsage;
}

/** Tokens of a turn. What nobody counted is absent. */
export interface PromptUsage {
  cacheWriteInputTokens?: number;
  cachedInputTokens?: number;
  inputTokens?: number;
  outputTokens?: number;
  reasoningTokens?: number;
  source: UsageSource;
}

/** How a permission question is put to the client. */
export type QuestionForm =
  /** `session/request_permission`. */
  | "card"
  /** LSP's `window/showMessageRequest`. */
  | "message"
  /** The client has neither. */
  | "nobody";

/** What the sanitizing took out. */
export interface RedactionReport {
  rules: RuleCount[];
  /** Stored fields that no shape of this version names; they were left out. */
  unknown_fields: number;
}

/** What a model asked for again and again. */
export interface Repetition {
  /** How many times in a row the model had asked for it. */
  calls: number;
  /** The arguments of each of them. */
  input: unknown;
  /** How many such calls in a row may start. */
  limit: number;
  /** The setting that says so. */
  setting: string;
  /** The tool's name as the model wrote it. */
  tool: string;
}

/** A JSON-RPC request id, kept as the JSON it arrived as: `1`, `"1"`, `1.0`, `null` and `""` are all different. */
export type RequestId = unknown;

/** The editor's request (or the notification) that asked for something. */
export interface RequestRef {
  /** Absent if it did not say who it is. */
  client?: Client;
  connection_id: ConnectionId;
  /** As it arrived; null for a notification. */
  id: RequestId;
  /** One of the methods that pillion serves. */
  method: string;
  traceparent?: string;
  transport: Transport;
}

/** How a tool call ended. Every call has exactly one result. */
export type ResultStatus =
  | "completed"
  | "failed"
  /** The user or the policy said no. */
  | "denied"
  /** It never started: the turn was stopped first. */
  | "not_started"
  /** It was running when the turn was stopped. */
  | "interrupted"
  /** Nobody knows how far it came, and it is never run again: the process died, or not all that it started could be ended. */
  | "unknown_outcome";

/** Whether a model call that failed is made again, and what that rests on. */
export interface RetryDecision {
  /** The wait before it is made again. */
  delay_ms?: number;
  reasons: string[];
  verdict: RetryVerdict;
}

/** A model call has failed and will be made again. */
export interface RetryNotice {
  /** The number of the attempt to come, the first being 1. */
  attempt: number;
  /** What stopped the attempt that failed, as a turn's `cause` is written. */
  cause: string;
  /** The wait before it. */
  delayMs: number;
  maxAttempts: number;
  /** The same for a person. */
  sentence: string;
}

/** What becomes of a model call that failed. */
export type RetryVerdict =
  | "given_up"
  /** It is made again after a wait, unless what it is for is stopped first. */
  | "again";

/** Who speaks. */
export type Role =
  | "user"
  | "assistant";

/** How often one rule replaced something. */
export interface RuleCount {
  count: number;
  rule: string;
}

/** A process that runs a turn. */
export interface RunsIn {
  boot_id: string;
  /** As the process itself is told; one in another container has numbers of its own. */
  pid: number;
}

/** The program that wrote the export. */
export interface Runtime {
  app_version: string;
  channel: string;
  commit?: string;
  /** SHA-256 of the effective settings, keys left out. */
  config_digest: string;
  os: string;
  target: string;
}

/** What a stop encloses that comes down to a run. */
export type Scope =
  /** The session was closed or deleted. */
  | "session"
  /** The connection to the client is over, or its client ends it. */
  | "connection"
  /** The process itself was told to end, or died. */
  | "process";

/** One row of `ListSessionsResult`. */
export interface SessionEntry {
  _meta?: EntryMeta;
  cwd: string;
  sessionId: SessionId;
  title?: string;
  /** RFC 3339, UTC. */
  updatedAt: string;
}

/** The whole document. */
export interface SessionExport {
  /** The newest diagnostics row that the snapshot saw. */
  at_seq: number;
  completeness: Completeness;
  diagnostics: ExportDiagnostics;
  /** Wall clock, milliseconds since 1970. */
  exported_at: number;
  redaction: RedactionReport;
  runtime: Runtime;
  sanitized: boolean;
  schema: string;
  schema_version: number;
  session: SessionTree;
  stats: Stats;
}

/** One conversation in one workspace directory. */
export type SessionId = string;

/** What is known of a session itself. */
export interface SessionInfo {
  closed_at?: number;
  created_at: number;
  cwd: string;
  /** `provider:model` of the next turn. */
  model?: string;
  parent_session_id?: SessionId;
  session_id: SessionId;
  title?: string;
  title_source?: TitleSource;
  updated_at: number;
}

/** One of them. */
export interface SessionMode {
  description: string;
  id: Mode;
  name: string;
}

/** The modes of a session, as clients show them. */
export interface SessionModes {
  availableModes: SessionMode[];
  currentModeId: Mode;
}

/** `session/close` and `session/delete`. */
export interface SessionParams {
  sessionId: SessionId;
}

/** One session with everything in it. */
export interface SessionTree {
  children: SessionTree[];
  info: SessionInfo;
  messages: Message[];
  turns: TurnInfo[];
}

/** The `update` object of a `session/update` notification. */
export type SessionUpdate =
  | { content: ContentBlock; sessionUpdate: "user_message_chunk" }
  | { content: ContentBlock; sessionUpdate: "agent_message_chunk" }
  | { content: ContentBlock; sessionUpdate: "agent_thought_chunk" }
  | { sessionUpdate: "tool_call" } & ToolCall
  | { sessionUpdate: "tool_call_update" } & ToolCallUpdate
  /** What the model says that it is going to do; it replaces the plan before it. */
  | { entries: PlanEntry[]; sessionUpdate: "plan" }
  /** A setting of the session is another one now, and the client has not set it. */
  | { configOptions: ConfigOption[]; sessionUpdate: "config_option_update" }
  | { _meta?: InfoMeta; sessionUpdate: "session_info_update"; title?: string; updatedAt?: string };

/** `session/set_config_option`. */
export interface SetConfigOptionParams {
  configId: string;
  sessionId: SessionId;
  value: string;
}

/** `session/set_mode`. */
export interface SetModeParams {
  /** One of `availableModes`. */
  modeId: string;
  sessionId: SessionId;
}

/** `session/shell`: the user's own command, run by `/bin/sh -c` in the session's directory. */
export interface ShellParams {
  command: string;
  sessionId: SessionId;
}

/** `session/shell`. How the command itself ended is told whether it was stopped or not. */
export interface ShellResult {
  diagnostics: Diagnostics;
  /** Absent when a signal ended the command, when it was not started, and when nobody knows. */
  exitCode?: number;
  /** Why the command was not started, or why nobody knows how it ended. */
  failure?: string;
  /** The `seq` of the turn's last update. */
  lastUpdate: number;
  messageId: MessageId;
  /** What it wrote to stdout and stderr, in the order in which it came; of more than 64 KiB the beginning and the end. */
  output: string;
  /** Everything that it wrote, in bytes. */
  outputBytes: number;
  /** Why the command was stopped, in one plain sentence to show; absent when it ended by itself. */
  sentence?: string;
  /** The name of the signal that ended the command, such as `SIGTERM`. */
  signal?: string;
  /** `end_turn`, or `cancelled`. */
  stopReason: StopReason;
  turnId: TurnId;
}

/** What a process had stored of a turn. */
export type SignOfLife =
  | "turn_started"
  | "model_called"
  | "tool_call_recorded"
  | "title_recorded"
  | "stop_accepted"
  /** The prompt was taken, and waited. */
  | "prompt_accepted"
  /** A piece of the answer. */
  | "output_kept";

/** What a turn spent on one thing, in all its steps. */
export interface Spent {
  /** When that began, counted from the arrival of the request. */
  longest_at_us: number;
  /** The longest of them. */
  longest_us: number;
  on: Lane;
  /** In how many stretches. */
  times: number;
  us: number;
}

/** Sizes, to see at a glance what the export holds. */
export interface Stats {
  messages: number;
  parts: number;
  sessions: number;
  turns: number;
}

/** How an earlier turn was ended, to be shown where that turn stands. */
export interface StopEntry {
  abortId: AbortId;
  /** Wall clock, milliseconds since 1970, when the turn had ended. */
  at: number;
  /** The cause's name, as in the abort record. */
  cause: string;
  /** Absent for a fault or a limit, which nobody asks for. */
  initiator?: Initiator;
  /** The assistant's message of the turn. */
  messageId: MessageId;
  /** Why, in one plain sentence to show. */
  sentence: string;
  source?: string;
  stop: Stopped;
  turnId: TurnId;
}

/** How a turn ended that did not fail. */
export type StopReason =
  | "end_turn"
  | "max_tokens"
  | "refusal"
  | "cancelled"
  /** The turn had had what it is allowed: a budget was used up, or the model repeated itself. */
  | "max_turn_requests";

/** How a turn ended that the model did not end. */
export type Stopped =
  | "cancelled"
  | "failed"
  /** It had had what a turn is allowed. */
  | "max_turn_requests";

/** How many events of each kind arrived. */
export interface StreamCounters {
  reasoning: number;
  reasoning_bytes: number;
  text: number;
  text_bytes: number;
  tool_input: number;
  usage: number;
}

/** Why a stream failed, how sure that is, and what it rests on. */
export type StreamFailure = {
  boundary: Boundary;
  /** The provider's own error code. */
  code?: string;
  confidence: Confidence;
  evidence: string[];
  /** A stable class of the message, such as `connection_refused`. */
  kind: string;
  /** What the provider means by it, where pillion acts upon that. */
  meaning?: Meaning;
  message: string;
  /** The operating system's error number. */
  os_error?: number;
  /** How long the provider asked to be left alone. */
  retry_after_ms?: number;
} & Cause;

/** Where an attempt stands. */
export type StreamState =
  | "completed"
  | "failed"
  /** Begun; the end was never recorded if an export of a finished turn still shows this. */
  | "open"
  /** A local abort dropped the stream; `abort_id` names it, or `cancel_id` the demand. */
  | "aborted";

/** What happened on one attempt's stream. Times are monotonic microseconds since `created`. */
export interface StreamTrace {
  abort_id?: AbortId;
  attempt: number;
  attempt_id: AttemptId;
  /** Of a title that outlived its turn: the demand that ended it. */
  cancel_id?: CancelId;
  counters: StreamCounters;
  /** Wall clock, milliseconds since 1970. */
  created_at: number;
  failure?: StreamFailure;
  finish_reason?: string;
  http_status?: number;
  model: string;
  /** What about the answer was out of the ordinary and did not fail it. */
  notes?: AnswerNote[];
  provider: string;
  request_id?: string;
  response_id?: string;
  /** Whether the call is made again; stands where it failed. */
  retry?: RetryDecision;
  session_id: SessionId;
  state: StreamState;
  step: number;
  timeline: Timeline;
  turn_id: TurnId;
  /** The connection to the provider, once the attempt has ended. */
  upstream?: Upstream;
  usage: Usage;
  /** The time limits that held, in the order in which they are armed. */
  watchdogs?: Watchdog[];
}

/** When an attempt reached each point, in microseconds since it was created. */
export interface Timeline {
  ended_us?: number;
  first_event_us?: number;
  first_progress_us?: number;
  headers_us?: number;
  last_event_us?: number;
  last_progress_us?: number;
  request_sent_us?: number;
}

/** One background title generation: stored when it starts and again when it ends. */
export interface TitleGeneration {
  /** The abort of the stop that cancelled the generation with its turn. */
  abort_id?: AbortId;
  /** The title was really stored on the session. */
  applied: boolean;
  /** The last attempt of the model call; its number tells how many there were. */
  attempt?: StreamTrace;
  /** The demand that cancelled the generation when no turn was left to stop. */
  cancel_id?: CancelId;
  completed_at?: number;
  /** The attempts before it, in order; each says in `retry` why it was made again. */
  earlier_attempts?: StreamTrace[];
  error_message?: string;
  error_name?: string;
  message_id: MessageId;
  parent_id: MessageId;
  session_id: SessionId;
  /** Where the title comes from. */
  source: TitleSource;
  started_at: number;
  success?: boolean;
  title_run_id: TitleRunId;
  turn_id: TurnId;
  /** Of all attempts. */
  usage?: Usage;
}

/** One run of the title generation. */
export type TitleRunId = string;

/** Who wrote a title. */
export type TitleSource =
  | "model"
  | "user"
  /** The first words of the prompt: the fallback, and the rule where no model is asked. */
  | "heuristic";

/** What the title generation of the session was doing when the stop was recorded. */
export type TitleState =
  | "not_started"
  | "in_flight"
  | "completed_before_abort"
  | "completed_after_abort"
  | "failed"
  | "cancelled"
  | "disabled"
  /** The session has a title, or is no root session, or this is not its first turn. */
  | "not_applicable";

/** A tool call as it is first shown. */
export interface ToolCall {
  kind: ToolKind;
  locations?: ToolLocation[];
  rawInput: unknown;
  status: ToolCallStatus;
  title: string;
  toolCallId: string;
}

/** What a tool call shows of its result. */
export type ToolCallContent =
  | { content: ContentBlock; type: "content" }
  | { newText: string; oldText?: string; path: string; type: "diff" };

/** Where a tool call stands. */
export type ToolCallStatus =
  | "pending"
  | "in_progress"
  | "completed"
  | "failed";

/** A change of a tool call that was shown before. */
export interface ToolCallUpdate {
  content?: ToolCallContent[];
  status: ToolCallStatus;
  toolCallId: string;
}

/** A tool call that had not returned when the run was stopped, and what became of it. */
export interface ToolInFlight {
  call_id: string;
  effect: Effect;
  outcome: ToolOutcome;
  tool: string;
}

/** ACP's kinds of tools, as far as pillion has such tools. */
export type ToolKind =
  | "read"
  | "edit"
  | "search"
  | "execute"
  | "think"
  /** A name the model made up. */
  | "other";

/** A file that a tool call touches. */
export interface ToolLocation {
  line?: number;
  path: string;
}

/** How a tool call that was in flight ended. */
export type ToolOutcome =
  /** It had not started: it was waiting for an answer, which is no longer wanted, or for its turn. */
  | "withdrawn"
  /** It returned within the grace; its result says what it came to. */
  | "stopped"
  /** It was ended from outside: its process died. */
  | "killed"
  /** It had not returned when the grace was over, and may have gone on by itself. */
  | "escaped"
  /** It was running when the process of pillion's died: nobody saw what became of it. */
  | "unknown";

/** A tool call that could run: stored when it is asked about, when it starts and when it ends; or one that a limit kept from that. Times without a unit are wall clock, milliseconds since 1970. */
export interface ToolRun {
  /** The abort that ended it, or kept it from starting. */
  abort_id?: AbortId;
  /** When the question was over, whichever way. */
  answered_at?: number;
  asked_at?: number;
  call_id: string;
  /** From its start to its end, monotonic. */
  duration_us?: number;
  effect: Effect;
  /** When it returned; absent for one that never did. */
  ended_at?: number;
  /** Of a command. */
  exit_code?: number;
  /** Absent while it is under way. */
  outcome?: ResultStatus;
  /** Absent while it is asked about, and for good if the process died before an answer was on record. */
  permission?: Permission;
  /** The rule that decided, or that had it asked about. */
  rule?: string;
  session_id: SessionId;
  signal?: string;
  started_at?: number;
  tool: string;
  turn_id: TurnId;
}

/** How the messages of a connection travel. */
export type Transport =
  /** LSP base protocol headers on stdio. */
  | "stdio_lsp"
  /** One JSON message a line on stdio. */
  | "stdio_jsonl"
  /** The same server inside this process (`pillion prompt`). */
  | "in_process";

/** What a turn of the model's stood on when it began. A command of the user's own stands on nothing of it. */
export interface TurnBasis {
  editor: EditorSkills;
  /** What the model was told to obey, in this order. */
  instructions: Instruction[];
  mode: Mode;
  /** `provider:model` as it is asked for. */
  model: string;
  /** `provider:model` as somebody chose it. */
  model_asked: string;
  /** SHA-256 of the rules in the settings and in the workspace. */
  rules_digest: string;
  session_id: SessionId;
  /** The names of the tools that it was offered. */
  tools: string[];
  /** The user trusts the workspace. */
  trusted: boolean;
  turn_id: TurnId;
}

/** The `data` of the error that answers a `session/prompt` whose turn failed. */
export type TurnFailure = {
  diagnostics: Diagnostics;
  turnId: TurnId;
} & Cause;

/** One accepted `session/prompt`. */
export type TurnId = string;

/** One turn: what it answered and how it ended. */
export interface TurnInfo {
  abort_id?: AbortId;
  ended_at?: number;
  /** What that was; absent in records of versions that knew only prompts. */
  kind?: TurnKind;
  last_update?: number;
  message_id: MessageId;
  model?: string;
  parent_id: MessageId;
  /** The request that asked for it; absent if its row could not be read. */
  prompt_request?: PromptRequest;
  /** The process that runs it, while it has no end and its process lives. */
  running_in?: RunsIn;
  session_id: SessionId;
  started_at: number;
  /** Absent while the turn runs. */
  stop?: TurnStop;
  turn_id: TurnId;
  usage?: Usage;
}

/** What a turn is the answer to. */
export type TurnKind =
  /** `session/prompt`. */
  | "prompt"
  /** `session/shell`. */
  | "shell";

/** How a turn ended. */
export type TurnStop =
  | "end_turn"
  | "max_tokens"
  | "refusal"
  | "cancelled"
  /** A limit of the turn's own: the abort says which. */
  | "max_turn_requests"
  /** A fault: the abort says which. */
  | "failed";

/** Where the time of one turn went, from the arrival of its request until its answer was handed to the connection. At every instant the turn is at one thing, so what it spent on all of them adds up to the whole. */
export interface TurnTime {
  session_id: SessionId;
  /** In the order in which the turn came to it. */
  spent: Spent[];
  /** Monotonic microseconds, as all that follows. */
  total_us: number;
  turn_id: TurnId;
}

/** The `_meta` of `UpdateParams`. */
export interface UpdateMeta {
  pillion: UpdatePlace;
}

/** `session/update`, a notification. */
export interface UpdateParams {
  _meta: UpdateMeta;
  sessionId: SessionId;
  update: SessionUpdate;
}

/** Where in its session an update belongs. */
export interface UpdatePlace {
  messageId?: MessageId;
  /** Counts per session from 1. */
  seq: number;
  /** Absent outside of a turn (a title that arrives later). */
  turnId?: TurnId;
}

/** How an attempt's answer, and with it its hold on the connection, came to its end. */
export interface Upstream {
  /** Microseconds since the attempt was created. */
  at_us?: number;
  closed_by: ClosedBy;
}

/** Tokens, as far as anybody said; a field that nobody reported is absent, never a false 0. */
export interface Usage {
  /** Of the input, what was written to the vendor's cache. */
  cache_write_input_tokens?: number;
  /** Of the input, what was read from the vendor's cache. */
  cached_input_tokens?: number;
  input_tokens?: number;
  output_tokens?: number;
  reasoning_tokens?: number;
  source: UsageSource;
}

/** Who counted the tokens. */
export type UsageSource =
  | "provider"
  | "absent";

/** A time limit on an attempt. */
export interface Watchdog {
  /** It was over, and ended the attempt. */
  fired: boolean;
  limit_ms: number;
  name: WatchdogName;
}

/** What a watchdog waits for. */
export type WatchdogName =
  /** The request to be on its way. */
  | "connect"
  /** The first event of the answer; its head alone is none. */
  | "first_byte"
  /** The next event of the answer. */
  | "idle_stream";

/** What a prompt does when its session is running something. */
export type WhenBusy =
  | "queue"
  | "reject"
  | "supersede";
