//! What is known of a turn besides how it ended: where its time went, and what it stood on.
//!
//! Invariant: hashes, names and numbers; nothing that a person, a model or a workspace has said.

use super::ids::{SessionId, TurnId};
use super::mode::Mode;
use super::record::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

record! {
    /// Where the time of one turn went, from the arrival of its request until its answer was handed to the connection. At every
    /// instant the turn is at one thing, so what it spent on all of them adds up to the whole.
    pub struct TurnTime {
        required {
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            /// Monotonic microseconds, as all that follows.
            total_us: u64 => Time,
            /// In the order in which the turn came to it.
            spent: Vec<Spent> => Record,
        }
    }
}

record! {
    /// What a turn spent on one thing, in all its steps.
    pub struct Spent {
        required {
            on: Lane => Enum,
            us: u64 => Time,
            /// In how many stretches.
            times: u64 => Number,
            /// The longest of them.
            longest_us: u64 => Time,
            /// When that began, counted from the arrival of the request.
            longest_at_us: u64 => Time,
        }
    }
}

/// What a turn can be at. What it does between two waits belongs to what it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// The session is opened, and its workspace looked at.
    Opening,
    /// Another turn has the session.
    Queue,
    /// What another process has added to the session is read; if it died, its turn is closed first.
    CatchingUp,
    /// What must be on record before it goes on is stored.
    Store,
    /// A request to the model is made and sent.
    ModelConnect,
    /// The model has the request, and nothing of its answer has come.
    ModelWait,
    /// The model's answer comes.
    ModelStream,
    /// The client does not read what there is for it.
    Client,
    /// Tools are planned and run, or a command of the user's own runs.
    Tools,
    /// The client has been asked a question, and nothing else can go on.
    Question,
    /// The editor is to read or change a document.
    Editor,
    /// A model call has failed and is made again in a while.
    Backoff,
    /// The end of the turn is stored.
    Commit,
    /// The answer is on its way to the connection.
    Answer,
}

record! {
    /// What a turn of the model's stood on when it began. A command of the user's own stands on nothing of it.
    pub struct TurnBasis {
        required {
            session_id: SessionId => Id,
            turn_id: TurnId => Id,
            /// `provider:model` as somebody chose it.
            model_asked: String => Model,
            /// `provider:model` as it is asked for.
            model: String => Model,
            /// What the model was told to obey, in this order.
            instructions: Vec<Instruction> => Record,
            /// The names of the tools that it was offered.
            tools: Vec<String> => Structure,
            /// SHA-256 of the rules in the settings and in the workspace.
            rules_digest: String => Structure,
            mode: Mode => Enum,
            /// The user trusts the workspace.
            trusted: bool => Structure,
            editor: EditorSkills => Record,
        }
    }
}

record! {
    /// Something that the model was told to obey.
    pub struct Instruction {
        required {
            kind: InstructionKind => Enum,
            /// Of the text as the model was told it.
            sha256: String => Structure,
            bytes: u64 => Number,
        }
        optional {
            /// Absolute, of one that is a file.
            path: String => Path,
        }
    }
}

/// Where an instruction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstructionKind {
    /// pillion's own, the same for every model and workspace.
    BuiltIn,
    /// The workspace's `AGENTS.md`.
    Workspace,
}

record! {
    /// What the client can do for a turn, as far as it has said or shown it.
    pub struct EditorSkills {
        required {
            questions: QuestionForm => Enum,
            /// Changes documents that it has open.
            edits: bool => Structure,
            /// Reads files, with what is not saved.
            reads: bool => Structure,
            writes: bool => Structure,
        }
    }
}

/// How a permission question is put to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuestionForm {
    /// `session/request_permission`.
    Card,
    /// LSP's `window/showMessageRequest`.
    Message,
    /// The client has neither.
    Nobody,
}
