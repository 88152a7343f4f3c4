-- What travels between an editor and pillion. Made from src/protocol by tests/client_types: do not edit.

local M = {}

--- The version of the protocol that these types describe; `initialize` answers with it.
M.PROTOCOL_VERSION = 1

--- Exactly one for each run that did not end by itself. The committed row never changes; `late_cancels`, the answered hop and a later title state are rows of their own, joined when the record is exported.
---@class pillion.Abort
---@field abort_id pillion.AbortId
---@field attempt_id? pillion.AttemptId
---@field boot_id string
---@field came_down_from? pillion.Scope
---@field crash? pillion.Crash The process that ran the turn died before the turn had ended. If nobody had asked for a stop, that is the cause.
---@field error_message? string
---@field error_name? string
---@field forced boolean The run did not stop within the grace and was ended from outside.
---@field initiator? pillion.Initiator Who asked, how hard, and when (wall clock, milliseconds since 1970). Absent where nobody did: a fault, a limit.
---@field late_cancels pillion.CancelId[] Cancels that came after this one had won.
---@field message_id pillion.MessageId The assistant's message of the turn.
---@field missing string[] What could not be known or was dropped as invalid.
---@field mode? pillion.CancelMode
---@field noticed_at? integer Wall clock when that was noticed for which nobody had asked.
---@field parent_id pillion.MessageId The user's message that the turn answers.
---@field partial pillion.Partial
---@field phase pillion.Phase
---@field prompt_request? pillion.PromptRequest The request whose answer this abort shaped; absent if its row could not be read.
---@field propagation pillion.Hop[] Hops in the order in which they happened.
---@field propagation_point string The hop that ended the work.
---@field reason? string
---@field recorded_at integer Wall clock when the runner recorded it.
---@field request? pillion.RequestRef
---@field requested_at? integer
---@field ruled_out string[] What this abort was not, as far as the facts show.
---@field session_id pillion.SessionId
---@field settle_us integer Monotonic microseconds to the end of the run from when the stop was asked for, or noticed.
---@field settled_at integer Wall clock when the run had ended.
---@field source? string
---@field title_generation_state pillion.TitleState
---@field title_run_id? pillion.TitleRunId
---@field tools_in_flight pillion.ToolInFlight[]
---@field turn_id pillion.TurnId
---@field via_ctx_abort boolean It came down through an enclosing scope (`came_down_from`), not as a request to this run.
---@field cause "client_cancel"|"rpc_cancel"|"superseded_by_prompt"|"client_eof"|"client_framing_broken"|"client_write_failed"|"client_process_died"|"shutdown_request"|"exit_without_shutdown"|"signal"|"connect_timeout"|"first_byte_timeout"|"idle_stream_timeout"|"turn_timeout"|"tool_timeout"|"provider_http"|"provider_transport"|"context_overflow"|"provider_protocol"|"budget"|"loop_guard"|"store_failure"|"session_closed"|"session_deleted"|"internal_panic"|"crash_recovered"|"unknown"
---@field superseding_turn_id? pillion.TurnId
---@field pid? integer
---@field signal_name? string
---@field limit_ms? integer
---@field http_status? integer
---@field limit? integer
---@field setting? string
---@field unit? pillion.BudgetUnit
---@field calls? integer
---@field input? any
---@field tool? string
---@field panicked_at? pillion.Place

--- The record of what ended a run.
---@alias pillion.AbortId string

--- Something about an answer that did not fail it.
---@class pillion.AnswerNote
---@field kind pillion.NoteKind
---@field message string The provider's words, or the names of calls.

--- A tool call that the model had begun to write; nothing of it is kept.
---@class pillion.ArrivingCall
---@field bytes integer Of its input, as far as it had arrived.
---@field call_id? string
---@field tool? string As the model wrote it; absent if it had not named it yet.

--- The call that wants to run, with what it would change.
---@class pillion.AskedCall
---@field content? pillion.ToolCallContent[]
---@field kind pillion.ToolKind
---@field locations? pillion.ToolLocation[]
---@field rawInput any
---@field status pillion.ToolCallStatus
---@field title string
---@field toolCallId string

--- One try of a step's model call.
---@alias pillion.AttemptId string

--- Which side of the stream a failure came from.
---@alias pillion.Boundary
---| "provider_error"
---| "transport"
---| "protocol"
---| "watchdog" # A time limit of pillion's own was over.

--- What a turn can use up.
---@alias pillion.BudgetUnit
---| "model_calls" # Calls of the model; a call with all its attempts is one.
---| "tool_calls" # Calls that the model asked for, whatever came of them.
---| "output_tokens" # Tokens that the provider said the model had written.

--- One demand to stop, effective or not.
---@alias pillion.CancelId string

--- How hard to stop: soft waits for a question that the user is being asked, hard withdraws it.
---@alias pillion.CancelMode
---| "soft"
---| "hard"

--- What a demand to stop came to.
---@alias pillion.CancelOutcome
---| "cancelled"
---| "already_stopping"
---| "already_settled"
---| "idle"
---| "ignored_awaiting_answer"
---| "not_owner"
---| "unknown_session"
---| "ignored_signal" # A signal that is not meant for pillion: SIGINT, while its client is a program.

--- `session/cancel`, as a request or as a notification.
---@class pillion.CancelParams
---@field initiator? pillion.Initiator
---@field mode? pillion.CancelMode
---@field reason? string
---@field sessionId pillion.SessionId
---@field source? string
---@field turnId? pillion.TurnId Only this turn.

--- Any demand to stop, effective or not.
---@class pillion.CancelRequest
---@field abort_id? pillion.AbortId
---@field asked_turn_id? string The `turnId` that was asked for, as the client wrote it, when that is not the turn that it came to be about: it may name nothing.
---@field at integer Wall clock, milliseconds since 1970.
---@field cancel_id pillion.CancelId
---@field initiator? pillion.Initiator Who demands it, and how hard. Absent for a limit, which nobody asks for.
---@field missing string[]
---@field mode? pillion.CancelMode
---@field outcome pillion.CancelOutcome
---@field reason? string
---@field request? pillion.RequestRef
---@field seq? integer The store's order; set when the record is read back.
---@field session_id pillion.SessionId
---@field source? string
---@field turn_id? pillion.TurnId The turn that it came to be about.
---@field cause "client_cancel"|"rpc_cancel"|"superseded_by_prompt"|"client_eof"|"client_framing_broken"|"client_write_failed"|"client_process_died"|"shutdown_request"|"exit_without_shutdown"|"signal"|"connect_timeout"|"first_byte_timeout"|"idle_stream_timeout"|"turn_timeout"|"tool_timeout"|"provider_http"|"provider_transport"|"context_overflow"|"provider_protocol"|"budget"|"loop_guard"|"store_failure"|"session_closed"|"session_deleted"|"internal_panic"|"crash_recovered"|"unknown"
---@field superseding_turn_id? pillion.TurnId
---@field pid? integer
---@field signal_name? string
---@field limit_ms? integer
---@field http_status? integer
---@field limit? integer
---@field setting? string
---@field unit? pillion.BudgetUnit
---@field calls? integer
---@field input? any
---@field tool? string
---@field panicked_at? pillion.Place

--- `session/cancel` with an id.
---@class pillion.CancelResult
---@field abort? pillion.Abort
---@field abortId? pillion.AbortId
---@field outcome pillion.CancelOutcome
---@field turnId? pillion.TurnId

--- What `initialize` says of pillion itself: under `capabilities.experimental.pillion` in LSP, under `agentCapabilities._meta.pillion` in ACP.
---@class pillion.Capabilities
---@field methods string[] The methods that can be called besides those of the dialect itself.
---@field protocolVersion integer

--- What stopped a run, with the data that belongs to it. On the wire: `"cause": "signal", "signal_name": "SIGTERM"`.
---@class pillion.Cause
---@field cause "client_cancel"|"rpc_cancel"|"superseded_by_prompt"|"client_eof"|"client_framing_broken"|"client_write_failed"|"client_process_died"|"shutdown_request"|"exit_without_shutdown"|"signal"|"connect_timeout"|"first_byte_timeout"|"idle_stream_timeout"|"turn_timeout"|"tool_timeout"|"provider_http"|"provider_transport"|"context_overflow"|"provider_protocol"|"budget"|"loop_guard"|"store_failure"|"session_closed"|"session_deleted"|"internal_panic"|"crash_recovered"|"unknown"
---@field superseding_turn_id? pillion.TurnId
---@field pid? integer
---@field signal_name? string
---@field limit_ms? integer
---@field http_status? integer
---@field limit? integer
---@field setting? string
---@field unit? pillion.BudgetUnit
---@field calls? integer
---@field input? any
---@field tool? string
---@field panicked_at? pillion.Place

--- The program at the other end of the connection, as it named itself in `initialize`.
---@class pillion.Client
---@field name string
---@field version? string

--- The client's process.
---@class pillion.ClientProcess
---@field known_from pillion.KnownFrom
---@field pid integer

--- Who closed it.
---@alias pillion.ClosedBy
---| "us" # pillion let go of it before the provider had ended it.
---| "provider" # The provider: by the end of the answer, or by closing the connection.
---| "unknown" # It broke, and nobody can tell at which end.
---| "not_open" # The request had not been handed to a connection, or there is none to a model in this process.

--- The output of a command that the stop ended.
---@class pillion.CommandOutput
---@field bytes integer All that pillion had read of it.
---@field call_id string
---@field kept_bytes integer What of that can still be read: in the call's result, or in the file that it names.

--- Whether anything was still running, unreadable or not yet recorded when the snapshot was taken.
---@alias pillion.Completeness
---| "complete"
---| "partial"

--- How sure the classification is.
---@alias pillion.Confidence
---| "certain"
---| "likely"

--- One value of a `ConfigOption`.
---@class pillion.ConfigChoice
---@field name string
---@field value string

--- A setting of one session that the client can show as a choice.
---@class pillion.ConfigOption
---@field category? string
---@field currentValue string
---@field description string
---@field id string
---@field name string
---@field options pillion.ConfigChoice[]
---@field type pillion.ConfigOptionType

--- How a setting is shown.
---@alias pillion.ConfigOptionType
---| "select"

--- `session/set_config_option`.
---@class pillion.ConfigResult
---@field configOptions pillion.ConfigOption[]

--- What ended a connection.
---@alias pillion.ConnectionEnd
---| "exit_without_shutdown"
---| "framing_broken"
---| "write_failed"
---| "process_died"
---| "signal"
---| "panic"
---| "eof" # The client closed its end of stdin.
---| "exit" # `exit`, after `shutdown`.

--- One editor connection; request ids are unique only within it.
---@alias pillion.ConnectionId string

--- One connection. Its beginning is on record before anything that names it, the rest when it has ended: without `closed_at` it is open, or the process that served it died.
---@class pillion.ConnectionRecord
---@field client? pillion.Client Absent if it did not say.
---@field closed_at? integer
---@field closed_by? pillion.ConnectionEnd
---@field connection_id pillion.ConnectionId
---@field last_read? pillion.LastMessage The last message that was read from the client.
---@field last_written? pillion.LastMessage The last message that was written to the client, to its last byte.
---@field opened_at integer Wall clock, milliseconds since 1970.
---@field process? pillion.ClientProcess Absent if it cannot be known.
---@field signal_name? string
---@field transport pillion.Transport

--- One piece of a prompt or of a message. Fields that pillion does not use are kept as they came.
---@class pillion.ContentBlock
---@field text? string
---@field type "text"|"resource"|"image"|"resource_link"
---@field resource? pillion.EmbeddedResource
---@field data? string
---@field mimeType? string
---@field name? string
---@field uri? string

--- The death of a process. Nobody saw it: it came between the last sign of life and the moment in which it was found.
---@class pillion.Crash
---@field boot_id string
---@field found_at integer When and by which process it was found; the boot of that one is the record's own `boot_id`.
---@field found_by integer
---@field last_sign pillion.SignOfLife What the newest row of the turn that has a time is of, and that time: wall clock, milliseconds since 1970.
---@field last_sign_at integer
---@field pid integer The process that died, and the boot that it ran in.

--- What an answer says about its own turn; the export says the same and more.
---@class pillion.Diagnostics
---@field abort? pillion.Abort
---@field cancel_requests? pillion.CancelRequest[]
---@field stream_traces? pillion.StreamTrace[]
---@field title_generation? pillion.TitleGeneration
---@field tool_runs? pillion.ToolRun[] The calls that the abort ended or kept from starting.

--- What the client can do for a turn, as far as it has said or shown it.
---@class pillion.EditorSkills
---@field edits boolean Changes documents that it has open.
---@field questions pillion.QuestionForm
---@field reads boolean Reads files, with what is not saved.
---@field writes boolean

--- What a tool can do to the world.
---@alias pillion.Effect
---| "read"
---| "write"
---| "none" # Nothing outside of the conversation.
---| "process" # It runs a program.
---| "network" # It runs a program that may reach the network.

--- The contents of a `ContentBlock::Resource`.
---@class pillion.EmbeddedResource
---@field mimeType? string
---@field text? string
---@field uri string

--- What pillion tells of a listed session beyond ACP.
---@class pillion.EntryExtras
---@field openTurns pillion.OpenTurnEntry[] The turns that have begun and have no end, the oldest first.

--- The `_meta` of a `SessionEntry`.
---@class pillion.EntryMeta
---@field pillion pillion.EntryExtras

--- Every diagnostic record of the tree, in the store's order.
---@class pillion.ExportDiagnostics
---@field aborts pillion.Abort[]
---@field cancel_requests pillion.CancelRequest[]
---@field connections pillion.ConnectionRecord[] The connections that the aborts and the cancel requests name.
---@field incidents pillion.Incident[]
---@field lifecycle pillion.LifecycleEvent[]
---@field stream_traces pillion.StreamTrace[]
---@field title_generations pillion.TitleGeneration[]
---@field tool_runs pillion.ToolRun[]
---@field turn_bases pillion.TurnBasis[]
---@field turn_times pillion.TurnTime[] Absent for a turn whose process died in it.

--- `session/export`.
---@class pillion.ExportParams
---@field path? string Write to this absolute path, which must not exist, instead of answering with the document.
---@field sanitize? boolean Off: the full texts. Known keys are left out all the same.
---@field sessionId pillion.SessionId

--- `session/export`: the document itself, or (with `path`) where it was written.
---@class pillion.ExportResult
---@field bytes? integer
---@field export? pillion.SessionExport
---@field path? string
---@field sha256? string

--- One hop of a stop on its way to the work.
---@class pillion.Hop
---@field at_us integer Monotonic microseconds since the stop was asked for, or noticed.
---@field point string

--- Something went wrong that is no turn's abort: a record that was unreadable, a panic that was contained.
---@class pillion.Incident
---@field at integer
---@field message string
---@field method? string `handler_panic`: the method of the request that broke.
---@field name string
---@field panicked_at? pillion.Place Of a panic: where in pillion's code it was.
---@field row? string `unreadable_row`: which row of the store, by its table and its number there.
---@field seq? integer
---@field session_id? pillion.SessionId Absent if it was of no session; such a one is in no export.
---@field turn_id? pillion.TurnId

--- What pillion tells of a session beyond ACP.
---@class pillion.InfoExtras
---@field note? pillion.NoteNotice
---@field retry? pillion.RetryNotice

--- The `_meta` of a `session_info_update`.
---@class pillion.InfoMeta
---@field pillion pillion.InfoExtras

--- Who asked, as the client declared it; `unknown` when it declared nothing.
---@alias pillion.Initiator
---| "user"
---| "program"
---| "unknown"

--- Something that the model was told to obey.
---@class pillion.Instruction
---@field bytes integer
---@field kind pillion.InstructionKind
---@field path? string Absolute, of one that is a file.
---@field sha256 string Of the text as the model was told it.

--- Where an instruction comes from.
---@alias pillion.InstructionKind
---| "built_in" # pillion's own, the same for every model and workspace.
---| "workspace" # The workspace's `AGENTS.md`.

--- Who said which process the client is.
---@alias pillion.KnownFrom
---| "initialize" # The client itself, as `processId`.
---| "socket_peer" # The system, of the socket that is stdin.
---| "parent" # It started pillion.

--- What a turn can be at. What it does between two waits belongs to what it is at.
---@alias pillion.Lane
---| "opening" # The session is opened, and its workspace looked at.
---| "queue" # Another turn has the session.
---| "catching_up" # What another process has added to the session is read; if it died, its turn is closed first.
---| "store" # What must be on record before it goes on is stored.
---| "model_connect" # A request to the model is made and sent.
---| "model_wait" # The model has the request, and nothing of its answer has come.
---| "model_stream" # The model's answer comes.
---| "client" # The client does not read what there is for it.
---| "tools" # Tools are planned and run, or a command of the user's own runs.
---| "question" # The client has been asked a question, and nothing else can go on.
---| "editor" # The editor is to read or change a document.
---| "backoff" # A model call has failed and is made again in a while.
---| "commit" # The end of the turn is stored.
---| "answer" # The answer is on its way to the connection.

--- A message of a connection.
---@class pillion.LastMessage
---@field at integer Wall clock, milliseconds since 1970.
---@field id? pillion.RequestId Of an answer, the id of its request. A notification has none.
---@field method string `response` for an answer; `unknown` for a method that pillion does not serve.

--- A point in a turn's life: accepted, started, answered.
---@class pillion.LifecycleEvent
---@field at integer Wall clock, milliseconds since 1970.
---@field at_us? integer Microseconds since the stop was asked for; only where an abort ended the turn.
---@field event pillion.LifecyclePoint
---@field seq? integer
---@field session_id pillion.SessionId
---@field turn_id pillion.TurnId

--- The points that are recorded.
---@alias pillion.LifecyclePoint
---| "started"
---| "accepted" # The prompt was taken; the turn may have to wait.
---| "answered" # The prompt's answer was given to the connection.

--- `session/list`.
---@class pillion.ListSessionsParams
---@field cursor? string `nextCursor` of the page before.
---@field cwd? string

--- `session/list`: newest first.
---@class pillion.ListSessionsResult
---@field nextCursor? string
---@field sessions pillion.SessionEntry[]

--- What a provider means by an error.
---@alias pillion.Meaning
---| "rate_limited" # Too much was asked in too short a time.
---| "quota_exhausted" # The account has nothing left.
---| "overloaded" # The server has too much to do.
---| "loading" # The server is still loading the model.
---| "unsupported" # It does not take a part of the request, and is asked without it.

--- One message of a conversation.
---@class pillion.Message
---@field created_at integer Wall clock, milliseconds since 1970.
---@field message_id pillion.MessageId
---@field model? string The model that wrote it, as `provider:model`.
---@field parts pillion.Part[]
---@field role pillion.Role
---@field turn_id? pillion.TurnId

--- One message of a conversation.
---@alias pillion.MessageId string

--- What happens without a rule.
---@alias pillion.Mode
---| "read_only" # Nothing is changed and nothing is run.
---| "ask" # Changes and commands are asked about.
---| "auto_edit" # Files of the workspace are changed without a question; commands are asked about.

--- `session/new`.
---@class pillion.NewSessionParams
---@field cwd? string The workspace: an absolute path of a directory that exists.
---@field mcpServers? any[]
---@field model? string
---@field sessionId? pillion.SessionId Chosen by the client, 1-80 characters of `[A-Za-z0-9._:-]`; refused if it is taken.
---@field title? string

--- `session/new`.
---@class pillion.NewSessionResult
---@field configOptions pillion.ConfigOption[]
---@field modes pillion.SessionModes
---@field notices? string[] What was sent but has no effect, in plain words.
---@field sessionId pillion.SessionId

--- What about an answer was out of the ordinary.
---@alias pillion.NoteKind
---| "late_error" # An error came behind the end of an answer that had finished.
---| "unknown_finish_reason" # The finish reason is none that pillion knows.
---| "call_not_run" # The answer was cut off or refused: its tool calls did not run.
---| "call_missing" # The model ended in order to call tools, and no call had come.
---| "without_tools" # The model takes no tools: it is asked without them.
---| "left_out" # The server does not take something else of the request, which is left out or written otherwise.
---| "passed_over" # Something came that no protocol knows.
---| "budget_not_counted" # The provider does not say how much the model writes, so `budget.output_tokens` cannot be enforced.

--- Something about the model's answer that did not fail it.
---@class pillion.NoteNotice
---@field kind pillion.NoteKind As the stream trace names it.
---@field sentence string The same for a person.

--- `session/load` and `session/resume`.
---@class pillion.OpenSessionParams
---@field cwd? string Must be the session's own directory when given.
---@field mcpServers? any[]
---@field sessionId pillion.SessionId

--- `session/load`, `session/resume`.
---@class pillion.OpenSessionResult
---@field configOptions pillion.ConfigOption[]
---@field modes pillion.SessionModes
---@field notices? string[]
---@field stops? pillion.StopEntry[] The turns of the session that the model did not end, in order.
---@field title? string

--- A turn without an end.
---@class pillion.OpenTurnEntry
---@field isRunning boolean `false`: the process has died, and the end of the turn could not be recorded.
---@field pid integer The process that runs it, or ran it.
---@field since string When it began: RFC 3339, UTC.
---@field turnId pillion.TurnId

--- A piece of a message. Which optional fields stand depends on `kind`.
---@class pillion.Part
---@field call_id? string `tool_call`, `tool_result`.
---@field data? string `tool_result` that is a picture, of this `mime_type`: its bytes in base64.
---@field exit_code? integer `tool_result` of a process: its exit code.
---@field input? any `tool_call`: the arguments as the model wrote them; text, if they are no JSON object or nest too deep.
---@field kind pillion.PartKind
---@field mime_type? string
---@field name? string `resource_link`.
---@field signal? string `tool_result` of a process that a signal ended: the signal's name.
---@field state? string `state`, `tool_call`: what the provider gave with the step or the call, and wants back unchanged. JSON.
---@field state_of? string The model that gave it, as `provider:model`; it is given to no other.
---@field status? pillion.ResultStatus `tool_result`: how the call ended.
---@field text? string `text`, `reasoning`, a `command`, a `tool_result`'s output, an embedded `resource`'s text.
---@field tool? string `tool_call`: the name as the model wrote it.
---@field uri? string `resource`, `resource_link`.

--- What a part is.
---@alias pillion.PartKind
---| "text"
---| "reasoning"
---| "tool_call"
---| "tool_result"
---| "resource"
---| "resource_link"
---| "state" # What the provider gave with a step for itself: nobody reads it, and nobody is shown it.
---| "command" # A shell command that the user ran; the whole of a user's message. What came of it is a tool call with its result in the answer.

--- How much of the turn's output existed, and how much of it is kept.
---@class pillion.Partial
---@field bytes_unsent? integer
---@field command_outputs? pillion.CommandOutput[] What the commands had written that ran when the turn was stopped; absent if none had written anything.
---@field not_read_since? integer Wall clock of the last byte that the client's pipe had taken; only if no more went into it.
---@field persisted_bytes integer
---@field reasoning_bytes integer
---@field text_bytes integer
---@field tool_inputs? pillion.ArrivingCall[] Tool calls that the model had begun to write and that were never made, if there were any.
---@field tool_inputs_not_listed? integer How many more of them there were than are listed, if there were more.
---@field updates_sent integer Updates that were written to the client's pipe, to the last byte.
---@field updates_unsent? integer Updates that were waiting to be written when the turn had ended, if any were.

--- On whose word a call ran, or did not.
---@alias pillion.Permission
---| "default" # Nobody's is needed.
---| "rule" # A rule of the user's settings.
---| "workspace_rule" # A rule of the workspace's own.
---| "mode" # The session's mode.
---| "remembered" # The client's answer, given before for the whole session.
---| "allowed" # The client answered yes; whether a person did is not known.
---| "rejected" # The client answered no.
---| "dismissed" # The client put the question away without an answer.
---| "unanswerable" # The client cannot ask.
---| "timed_out" # Nobody answered in time.
---| "withdrawn" # The turn was stopped before there was an answer.
---| "limit" # A limit of the turn's own: it was over before the call could start.

--- What can be chosen; ACP's kinds of options.
---@alias pillion.PermissionChoice
---| "allow_once"
---| "reject_once"
---| "allow_always" # The same call need not be asked about again while the session is open.
---| "reject_always" # The same call is refused while the session is open.

--- The `_meta` of `PermissionParams`.
---@class pillion.PermissionMeta
---@field pillion pillion.PermissionPlace

--- One answer that can be chosen.
---@class pillion.PermissionOption
---@field kind pillion.PermissionChoice
---@field name string
---@field optionId pillion.PermissionChoice

--- What came of the question.
---@class pillion.PermissionOutcome
---@field optionId? pillion.PermissionChoice
---@field outcome "selected"|"cancelled"

--- `session/request_permission`, a request of pillion's.
---@class pillion.PermissionParams
---@field _meta pillion.PermissionMeta
---@field options pillion.PermissionOption[]
---@field sessionId pillion.SessionId
---@field toolCall pillion.AskedCall

--- The turn that asks.
---@class pillion.PermissionPlace
---@field messageId pillion.MessageId
---@field requestId integer The id of this very request, for clients whose library hides it: a withdrawal names it.
---@field turnId pillion.TurnId

--- The client's answer.
---@class pillion.PermissionResult
---@field outcome pillion.PermissionOutcome

--- What the run was doing when the stop was recorded.
---@alias pillion.Phase
---| "queued"
---| "before_request"
---| "waiting_for_model"
---| "reasoning"
---| "text"
---| "tool_input"
---| "awaiting_permission"
---| "tool_running"
---| "persisting"
---| "before_tool" # The model had asked for a tool call, or a person for a command, and it had not started.
---| "retry_backoff" # A model call had failed and was to be made again after a wait.

--- A line of pillion's code.
---@class pillion.Place
---@field file string
---@field line integer

--- One step of a plan.
---@class pillion.PlanEntry
---@field content string
---@field priority pillion.PlanPriority
---@field status pillion.PlanStatus

--- How much a step of a plan matters.
---@alias pillion.PlanPriority
---| "high"
---| "medium"
---| "low"

--- How far a step of a plan is.
---@alias pillion.PlanStatus
---| "pending"
---| "in_progress"
---| "completed"

--- `session/prompt`.
---@class pillion.PromptParams
---@field prompt pillion.ContentBlock[]
---@field sessionId pillion.SessionId
---@field whenBusy? pillion.WhenBusy

--- The `session/prompt` or `session/shell` that started the turn.
---@class pillion.PromptRequest
---@field client? pillion.Client Absent if it did not say who it is.
---@field connection_id pillion.ConnectionId
---@field id pillion.RequestId
---@field method? string As the client wrote it; absent in records of earlier versions, as is `transport`.
---@field transport? pillion.Transport

--- `session/prompt`.
---@class pillion.PromptResult
---@field diagnostics pillion.Diagnostics
---@field lastUpdate integer The `seq` of the turn's last update; 0 if it sent none.
---@field messageId pillion.MessageId
---@field model? string The model that answered, as `provider:model`; absent when none was asked.
---@field sentence? string Why the turn was stopped, in one plain sentence to show; absent when the model ended it.
---@field stopReason pillion.StopReason
---@field turnId pillion.TurnId
---@field usage pillion.PromptUsage

--- Tokens of a turn. What nobody counted is absent.
---@class pillion.PromptUsage
---@field cacheWriteInputTokens? integer
---@field cachedInputTokens? integer
---@field inputTokens? integer
---@field outputTokens? integer
---@field reasoningTokens? integer
---@field source pillion.UsageSource

--- How a permission question is put to the client.
---@alias pillion.QuestionForm
---| "card" # `session/request_permission`.
---| "message" # LSP's `window/showMessageRequest`.
---| "nobody" # The client has neither.

--- What the sanitizing took out.
---@class pillion.RedactionReport
---@field rules pillion.RuleCount[]
---@field unknown_fields integer Stored fields that no shape of this version names; they were left out.

--- What a model asked for again and again.
---@class pillion.Repetition
---@field calls integer How many times in a row the model had asked for it.
---@field input any The arguments of each of them.
---@field limit integer How many such calls in a row may start.
---@field setting string The setting that says so.
---@field tool string The tool's name as the model wrote it.

--- A JSON-RPC request id, kept as the JSON it arrived as: `1`, `"1"`, `1.0`, `null` and `""` are all different.
---@alias pillion.RequestId any

--- The editor's request (or the notification) that asked for something.
---@class pillion.RequestRef
---@field client? pillion.Client Absent if it did not say who it is.
---@field connection_id pillion.ConnectionId
---@field id pillion.RequestId As it arrived; null for a notification.
---@field method string One of the methods that pillion serves.
---@field traceparent? string
---@field transport pillion.Transport

--- How a tool call ended. Every call has exactly one result.
---@alias pillion.ResultStatus
---| "completed"
---| "failed"
---| "denied" # The user or the policy said no.
---| "not_started" # It never started: the turn was stopped first.
---| "interrupted" # It was running when the turn was stopped.
---| "unknown_outcome" # Nobody knows how far it came, and it is never run again: the process died, or not all that it started could be ended.

--- Whether a model call that failed is made again, and what that rests on.
---@class pillion.RetryDecision
---@field delay_ms? integer The wait before it is made again.
---@field reasons string[]
---@field verdict pillion.RetryVerdict

--- A model call has failed and will be made again.
---@class pillion.RetryNotice
---@field attempt integer The number of the attempt to come, the first being 1.
---@field cause string What stopped the attempt that failed, as a turn's `cause` is written.
---@field delayMs integer The wait before it.
---@field maxAttempts integer
---@field sentence string The same for a person.

--- What becomes of a model call that failed.
---@alias pillion.RetryVerdict
---| "given_up"
---| "again" # It is made again after a wait, unless what it is for is stopped first.

--- Who speaks.
---@alias pillion.Role
---| "user"
---| "assistant"

--- How often one rule replaced something.
---@class pillion.RuleCount
---@field count integer
---@field rule string

--- A process that runs a turn.
---@class pillion.RunsIn
---@field boot_id string
---@field pid integer As the process itself is told; one in another container has numbers of its own.

--- The program that wrote the export.
---@class pillion.Runtime
---@field app_version string
---@field channel string
---@field commit? string
---@field config_digest string SHA-256 of the effective settings, keys left out.
---@field os string
---@field target string

--- What a stop encloses that comes down to a run.
---@alias pillion.Scope
---| "session" # The session was closed or deleted.
---| "connection" # The connection to the client is over, or its client ends it.
---| "process" # The process itself was told to end, or died.

--- One row of `ListSessionsResult`.
---@class pillion.SessionEntry
---@field _meta? pillion.EntryMeta
---@field cwd string
---@field sessionId pillion.SessionId
---@field title? string
---@field updatedAt string RFC 3339, UTC.

--- The whole document.
---@class pillion.SessionExport
---@field at_seq integer The newest diagnostics row that the snapshot saw.
---@field completeness pillion.Completeness
---@field diagnostics pillion.ExportDiagnostics
---@field exported_at integer Wall clock, milliseconds since 1970.
---@field redaction pillion.RedactionReport
---@field runtime pillion.Runtime
---@field sanitized boolean
---@field schema string
---@field schema_version integer
---@field session pillion.SessionTree
---@field stats pillion.Stats

--- One conversation in one workspace directory.
---@alias pillion.SessionId string

--- What is known of a session itself.
---@class pillion.SessionInfo
---@field closed_at? integer
---@field created_at integer
---@field cwd string
---@field model? string `provider:model` of the next turn.
---@field parent_session_id? pillion.SessionId
---@field session_id pillion.SessionId
---@field title? string
---@field title_source? pillion.TitleSource
---@field updated_at integer

--- One of them.
---@class pillion.SessionMode
---@field description string
---@field id pillion.Mode
---@field name string

--- The modes of a session, as clients show them.
---@class pillion.SessionModes
---@field availableModes pillion.SessionMode[]
---@field currentModeId pillion.Mode

--- `session/close` and `session/delete`.
---@class pillion.SessionParams
---@field sessionId pillion.SessionId

--- One session with everything in it.
---@class pillion.SessionTree
---@field children pillion.SessionTree[]
---@field info pillion.SessionInfo
---@field messages pillion.Message[]
---@field turns pillion.TurnInfo[]

--- The `update` object of a `session/update` notification.
---@class pillion.SessionUpdate
---@field content? pillion.ContentBlock|pillion.ToolCallContent[]
---@field sessionUpdate "user_message_chunk"|"agent_message_chunk"|"agent_thought_chunk"|"tool_call"|"tool_call_update"|"plan"|"config_option_update"|"session_info_update"
---@field kind? pillion.ToolKind
---@field locations? pillion.ToolLocation[]
---@field rawInput? any
---@field status? pillion.ToolCallStatus
---@field title? string
---@field toolCallId? string
---@field entries? pillion.PlanEntry[]
---@field configOptions? pillion.ConfigOption[]
---@field _meta? pillion.InfoMeta
---@field updatedAt? string

--- `session/set_config_option`.
---@class pillion.SetConfigOptionParams
---@field configId string
---@field sessionId pillion.SessionId
---@field value string

--- `session/set_mode`.
---@class pillion.SetModeParams
---@field modeId string One of `availableModes`.
---@field sessionId pillion.SessionId

--- `session/shell`: the user's own command, run by `/bin/sh -c` in the session's directory.
---@class pillion.ShellParams
---@field command string
---@field sessionId pillion.SessionId

--- `session/shell`. How the command itself ended is told whether it was stopped or not.
---@class pillion.ShellResult
---@field diagnostics pillion.Diagnostics
---@field exitCode? integer Absent when a signal ended the command, when it was not started, and when nobody knows.
---@field failure? string Why the command was not started, or why nobody knows how it ended.
---@field lastUpdate integer The `seq` of the turn's last update.
---@field messageId pillion.MessageId
---@field output string What it wrote to stdout and stderr, in the order in which it came; of more than 64 KiB the beginning and the end.
---@field outputBytes integer Everything that it wrote, in bytes.
---@field sentence? string Why the command was stopped, in one plain sentence to show; absent when it ended by itself.
---@field signal? string The name of the signal that ended the command, such as `SIGTERM`.
---@field stopReason pillion.StopReason `end_turn`, or `cancelled`.
---@field turnId pillion.TurnId

--- What a process had stored of a turn.
---@alias pillion.SignOfLife
---| "turn_started"
---| "model_called"
---| "tool_call_recorded"
---| "title_recorded"
---| "stop_accepted"
---| "prompt_accepted" # The prompt was taken, and waited.
---| "output_kept" # A piece of the answer.

--- What a turn spent on one thing, in all its steps.
---@class pillion.Spent
---@field longest_at_us integer When that began, counted from the arrival of the request.
---@field longest_us integer The longest of them.
---@field on pillion.Lane
---@field times integer In how many stretches.
---@field us integer

--- Sizes, to see at a glance what the export holds.
---@class pillion.Stats
---@field messages integer
---@field parts integer
---@field sessions integer
---@field turns integer

--- How an earlier turn was ended, to be shown where that turn stands.
---@class pillion.StopEntry
---@field abortId pillion.AbortId
---@field at integer Wall clock, milliseconds since 1970, when the turn had ended.
---@field cause string The cause's name, as in the abort record.
---@field initiator? pillion.Initiator Absent for a fault or a limit, which nobody asks for.
---@field messageId pillion.MessageId The assistant's message of the turn.
---@field sentence string Why, in one plain sentence to show.
---@field source? string
---@field stop pillion.Stopped
---@field turnId pillion.TurnId

--- How a turn ended that did not fail.
---@alias pillion.StopReason
---| "end_turn"
---| "max_tokens"
---| "refusal"
---| "cancelled"
---| "max_turn_requests" # The turn had had what it is allowed: a budget was used up, or the model repeated itself.

--- How a turn ended that the model did not end.
---@alias pillion.Stopped
---| "cancelled"
---| "failed"
---| "max_turn_requests" # It had had what a turn is allowed.

--- How many events of each kind arrived.
---@class pillion.StreamCounters
---@field reasoning integer
---@field reasoning_bytes integer
---@field text integer
---@field text_bytes integer
---@field tool_input integer
---@field usage integer

--- Why a stream failed, how sure that is, and what it rests on.
---@class pillion.StreamFailure
---@field boundary pillion.Boundary
---@field code? string The provider's own error code.
---@field confidence pillion.Confidence
---@field evidence string[]
---@field kind string A stable class of the message, such as `connection_refused`.
---@field meaning? pillion.Meaning What the provider means by it, where pillion acts upon that.
---@field message string
---@field os_error? integer The operating system's error number.
---@field retry_after_ms? integer How long the provider asked to be left alone.
---@field cause "client_cancel"|"rpc_cancel"|"superseded_by_prompt"|"client_eof"|"client_framing_broken"|"client_write_failed"|"client_process_died"|"shutdown_request"|"exit_without_shutdown"|"signal"|"connect_timeout"|"first_byte_timeout"|"idle_stream_timeout"|"turn_timeout"|"tool_timeout"|"provider_http"|"provider_transport"|"context_overflow"|"provider_protocol"|"budget"|"loop_guard"|"store_failure"|"session_closed"|"session_deleted"|"internal_panic"|"crash_recovered"|"unknown"
---@field superseding_turn_id? pillion.TurnId
---@field pid? integer
---@field signal_name? string
---@field limit_ms? integer
---@field http_status? integer
---@field limit? integer
---@field setting? string
---@field unit? pillion.BudgetUnit
---@field calls? integer
---@field input? any
---@field tool? string
---@field panicked_at? pillion.Place

--- Where an attempt stands.
---@alias pillion.StreamState
---| "completed"
---| "failed"
---| "open" # Begun; the end was never recorded if an export of a finished turn still shows this.
---| "aborted" # A local abort dropped the stream; `abort_id` names it, or `cancel_id` the demand.

--- What happened on one attempt's stream. Times are monotonic microseconds since `created`.
---@class pillion.StreamTrace
---@field abort_id? pillion.AbortId
---@field attempt integer
---@field attempt_id pillion.AttemptId
---@field cancel_id? pillion.CancelId Of a title that outlived its turn: the demand that ended it.
---@field counters pillion.StreamCounters
---@field created_at integer Wall clock, milliseconds since 1970.
---@field failure? pillion.StreamFailure
---@field finish_reason? string
---@field http_status? integer
---@field model string
---@field notes? pillion.AnswerNote[] What about the answer was out of the ordinary and did not fail it.
---@field provider string
---@field request_id? string
---@field response_id? string
---@field retry? pillion.RetryDecision Whether the call is made again; stands where it failed.
---@field session_id pillion.SessionId
---@field state pillion.StreamState
---@field step integer
---@field timeline pillion.Timeline
---@field turn_id pillion.TurnId
---@field upstream? pillion.Upstream The connection to the provider, once the attempt has ended.
---@field usage pillion.Usage
---@field watchdogs? pillion.Watchdog[] The time limits that held, in the order in which they are armed.

--- When an attempt reached each point, in microseconds since it was created.
---@class pillion.Timeline
---@field ended_us? integer
---@field first_event_us? integer
---@field first_progress_us? integer
---@field headers_us? integer
---@field last_event_us? integer
---@field last_progress_us? integer
---@field request_sent_us? integer

--- One background title generation: stored when it starts and again when it ends.
---@class pillion.TitleGeneration
---@field abort_id? pillion.AbortId The abort of the stop that cancelled the generation with its turn.
---@field applied boolean The title was really stored on the session.
---@field attempt? pillion.StreamTrace The last attempt of the model call; its number tells how many there were.
---@field cancel_id? pillion.CancelId The demand that cancelled the generation when no turn was left to stop.
---@field completed_at? integer
---@field earlier_attempts? pillion.StreamTrace[] The attempts before it, in order; each says in `retry` why it was made again.
---@field error_message? string
---@field error_name? string
---@field message_id pillion.MessageId
---@field parent_id pillion.MessageId
---@field session_id pillion.SessionId
---@field source pillion.TitleSource Where the title comes from.
---@field started_at integer
---@field success? boolean
---@field title_run_id pillion.TitleRunId
---@field turn_id pillion.TurnId
---@field usage? pillion.Usage Of all attempts.

--- One run of the title generation.
---@alias pillion.TitleRunId string

--- Who wrote a title.
---@alias pillion.TitleSource
---| "model"
---| "user"
---| "heuristic" # The first words of the prompt: the fallback, and the rule where no model is asked.

--- What the title generation of the session was doing when the stop was recorded.
---@alias pillion.TitleState
---| "not_started"
---| "in_flight"
---| "completed_before_abort"
---| "completed_after_abort"
---| "failed"
---| "cancelled"
---| "disabled"
---| "not_applicable" # The session has a title, or is no root session, or this is not its first turn.

--- A tool call as it is first shown.
---@class pillion.ToolCall
---@field kind pillion.ToolKind
---@field locations? pillion.ToolLocation[]
---@field rawInput any
---@field status pillion.ToolCallStatus
---@field title string
---@field toolCallId string

--- What a tool call shows of its result.
---@class pillion.ToolCallContent
---@field content? pillion.ContentBlock
---@field type "content"|"diff"
---@field newText? string
---@field oldText? string
---@field path? string

--- Where a tool call stands.
---@alias pillion.ToolCallStatus
---| "pending"
---| "in_progress"
---| "completed"
---| "failed"

--- A change of a tool call that was shown before.
---@class pillion.ToolCallUpdate
---@field content? pillion.ToolCallContent[]
---@field status pillion.ToolCallStatus
---@field toolCallId string

--- A tool call that had not returned when the run was stopped, and what became of it.
---@class pillion.ToolInFlight
---@field call_id string
---@field effect pillion.Effect
---@field outcome pillion.ToolOutcome
---@field tool string

--- ACP's kinds of tools, as far as pillion has such tools.
---@alias pillion.ToolKind
---| "read"
---| "edit"
---| "search"
---| "execute"
---| "think"
---| "other" # A name the model made up.

--- A file that a tool call touches.
---@class pillion.ToolLocation
---@field line? integer
---@field path string

--- How a tool call that was in flight ended.
---@alias pillion.ToolOutcome
---| "withdrawn" # It had not started: it was waiting for an answer, which is no longer wanted, or for its turn.
---| "stopped" # It returned within the grace; its result says what it came to.
---| "killed" # It was ended from outside: its process died.
---| "escaped" # It had not returned when the grace was over, and may have gone on by itself.
---| "unknown" # It was running when the process of pillion's died: nobody saw what became of it.

--- A tool call that could run: stored when it is asked about, when it starts and when it ends; or one that a limit kept from that. Times without a unit are wall clock, milliseconds since 1970.
---@class pillion.ToolRun
---@field abort_id? pillion.AbortId The abort that ended it, or kept it from starting.
---@field answered_at? integer When the question was over, whichever way.
---@field asked_at? integer
---@field call_id string
---@field duration_us? integer From its start to its end, monotonic.
---@field effect pillion.Effect
---@field ended_at? integer When it returned; absent for one that never did.
---@field exit_code? integer Of a command.
---@field outcome? pillion.ResultStatus Absent while it is under way.
---@field permission? pillion.Permission Absent while it is asked about, and for good if the process died before an answer was on record.
---@field rule? string The rule that decided, or that had it asked about.
---@field session_id pillion.SessionId
---@field signal? string
---@field started_at? integer
---@field tool string
---@field turn_id pillion.TurnId

--- How the messages of a connection travel.
---@alias pillion.Transport
---| "stdio_lsp" # LSP base protocol headers on stdio.
---| "stdio_jsonl" # One JSON message a line on stdio.
---| "in_process" # The same server inside this process (`pillion prompt`).

--- What a turn of the model's stood on when it began. A command of the user's own stands on nothing of it.
---@class pillion.TurnBasis
---@field editor pillion.EditorSkills
---@field instructions pillion.Instruction[] What the model was told to obey, in this order.
---@field mode pillion.Mode
---@field model string `provider:model` as it is asked for.
---@field model_asked string `provider:model` as somebody chose it.
---@field rules_digest string SHA-256 of the rules in the settings and in the workspace.
---@field session_id pillion.SessionId
---@field tools string[] The names of the tools that it was offered.
---@field trusted boolean The user trusts the workspace.
---@field turn_id pillion.TurnId

--- The `data` of the error that answers a `session/prompt` whose turn failed.
---@class pillion.TurnFailure
---@field diagnostics pillion.Diagnostics
---@field turnId pillion.TurnId
---@field cause "client_cancel"|"rpc_cancel"|"superseded_by_prompt"|"client_eof"|"client_framing_broken"|"client_write_failed"|"client_process_died"|"shutdown_request"|"exit_without_shutdown"|"signal"|"connect_timeout"|"first_byte_timeout"|"idle_stream_timeout"|"turn_timeout"|"tool_timeout"|"provider_http"|"provider_transport"|"context_overflow"|"provider_protocol"|"budget"|"loop_guard"|"store_failure"|"session_closed"|"session_deleted"|"internal_panic"|"crash_recovered"|"unknown"
---@field superseding_turn_id? pillion.TurnId
---@field pid? integer
---@field signal_name? string
---@field limit_ms? integer
---@field http_status? integer
---@field limit? integer
---@field setting? string
---@field unit? pillion.BudgetUnit
---@field calls? integer
---@field input? any
---@field tool? string
---@field panicked_at? pillion.Place

--- One accepted `session/prompt`.
---@alias pillion.TurnId string

--- One turn: what it answered and how it ended.
---@class pillion.TurnInfo
---@field abort_id? pillion.AbortId
---@field ended_at? integer
---@field kind? pillion.TurnKind What that was; absent in records of versions that knew only prompts.
---@field last_update? integer
---@field message_id pillion.MessageId
---@field model? string
---@field parent_id pillion.MessageId
---@field prompt_request? pillion.PromptRequest The request that asked for it; absent if its row could not be read.
---@field running_in? pillion.RunsIn The process that runs it, while it has no end and its process lives.
---@field session_id pillion.SessionId
---@field started_at integer
---@field stop? pillion.TurnStop Absent while the turn runs.
---@field turn_id pillion.TurnId
---@field usage? pillion.Usage

--- What a turn is the answer to.
---@alias pillion.TurnKind
---| "prompt" # `session/prompt`.
---| "shell" # `session/shell`.

--- How a turn ended.
---@alias pillion.TurnStop
---| "end_turn"
---| "max_tokens"
---| "refusal"
---| "cancelled"
---| "max_turn_requests" # A limit of the turn's own: the abort says which.
---| "failed" # A fault: the abort says which.

--- Where the time of one turn went, from the arrival of its request until its answer was handed to the connection. At every instant the turn is at one thing, so what it spent on all of them adds up to the whole.
---@class pillion.TurnTime
---@field session_id pillion.SessionId
---@field spent pillion.Spent[] In the order in which the turn came to it.
---@field total_us integer Monotonic microseconds, as all that follows.
---@field turn_id pillion.TurnId

--- The `_meta` of `UpdateParams`.
---@class pillion.UpdateMeta
---@field pillion pillion.UpdatePlace

--- `session/update`, a notification.
---@class pillion.UpdateParams
---@field _meta pillion.UpdateMeta
---@field sessionId pillion.SessionId
---@field update pillion.SessionUpdate

--- Where in its session an update belongs.
---@class pillion.UpdatePlace
---@field messageId? pillion.MessageId
---@field seq integer Counts per session from 1.
---@field turnId? pillion.TurnId Absent outside of a turn (a title that arrives later).

--- How an attempt's answer, and with it its hold on the connection, came to its end.
---@class pillion.Upstream
---@field at_us? integer Microseconds since the attempt was created.
---@field closed_by pillion.ClosedBy

--- Tokens, as far as anybody said; a field that nobody reported is absent, never a false 0.
---@class pillion.Usage
---@field cache_write_input_tokens? integer Of the input, what was written to the vendor's cache.
---@field cached_input_tokens? integer Of the input, what was read from the vendor's cache.
---@field input_tokens? integer
---@field output_tokens? integer
---@field reasoning_tokens? integer
---@field source pillion.UsageSource

--- Who counted the tokens.
---@alias pillion.UsageSource
---| "provider"
---| "absent"

--- A time limit on an attempt.
---@class pillion.Watchdog
---@field fired boolean It was over, and ended the attempt.
---@field limit_ms integer
---@field name pillion.WatchdogName

--- What a watchdog waits for.
---@alias pillion.WatchdogName
---| "connect" # The request to be on its way.
---| "first_byte" # The first event of the answer; its head alone is none.
---| "idle_stream" # The next event of the answer.

--- What a prompt does when its session is running something.
---@alias pillion.WhenBusy
---| "queue"
---| "reject"
---| "supersede"

return M
