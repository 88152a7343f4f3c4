// Temporary: replaced by the generated file.
export const PROTOCOL_VERSION = 1;
export type ContentBlock =
  | { type: "text"; text: string }
  | { type: "resource"; resource: { uri: string; mimeType?: string; text?: string } }
  | { type: "resource_link"; uri: string; name: string };
export type ToolKind = "read" | "edit" | "search" | "other";
export type ToolCallStatus = "pending" | "in_progress" | "completed" | "failed";
export interface ToolLocation { path: string; line?: number }
export type ToolCallContent = { type: "content"; content: ContentBlock } | { type: "diff"; path: string; oldText?: string; newText: string };
export interface ToolCall { toolCallId: string; title: string; kind: ToolKind; status: ToolCallStatus; rawInput: unknown; locations?: ToolLocation[] }
export interface ToolCallUpdate { toolCallId: string; status: ToolCallStatus; content?: ToolCallContent[] }
export type SessionUpdate =
  | { sessionUpdate: "user_message_chunk"; content: ContentBlock }
  | { sessionUpdate: "agent_message_chunk"; content: ContentBlock }
  | { sessionUpdate: "agent_thought_chunk"; content: ContentBlock }
  | ({ sessionUpdate: "tool_call" } & ToolCall)
  | ({ sessionUpdate: "tool_call_update" } & ToolCallUpdate)
  | { sessionUpdate: "session_info_update"; title?: string; updatedAt?: string };
export interface SessionUpdateParams { sessionId: string; update: SessionUpdate; _meta: { pillion: { seq: number; turnId?: string; messageId?: string } } }
export interface PermissionOption { optionId: string; name: string; kind: "allow_once" | "reject_once" }
export interface RequestPermissionParams { sessionId: string; toolCall: ToolCall & { content?: ToolCallContent[] }; options: PermissionOption[]; _meta: { pillion: { turnId: string; messageId: string } } }
export interface ConfigOption { id: string; name: string; description: string; type: "select"; currentValue: string; options: { value: string; name: string }[] }
export interface NewSessionResult { sessionId: string; configOptions: ConfigOption[]; notices?: string[] }
export interface StopEntry { turnId: string; messageId: string; stop: "cancelled" | "failed"; cause: string; initiator: string; source?: string; sentence: string; abortId: string; at: number }
export interface ConfigResult { configOptions: ConfigOption[]; notices?: string[]; stops?: StopEntry[] }
export interface SessionEntry { sessionId: string; cwd: string; title?: string; updatedAt: string }
export interface ListSessionsResult { sessions: SessionEntry[]; nextCursor?: string }
export type StopReason = "end_turn" | "max_tokens" | "refusal" | "cancelled";
export interface PromptUsage { source: string; inputTokens?: number; outputTokens?: number; reasoningTokens?: number; cachedInputTokens?: number }
export interface Abort { cause: string; initiator: string; source?: string; abort_id: string }
export interface Diagnostics { abort?: Abort }
export interface PromptResult { stopReason: StopReason; turnId: string; messageId: string; lastUpdate: number; usage: PromptUsage; model?: string; sentence?: string; diagnostics: Diagnostics }
export interface CancelResult { outcome: string; turnId?: string; abortId?: string; abort?: Abort }
export interface ExportResult { export?: unknown; path?: string; bytes?: number; sha256?: string }
