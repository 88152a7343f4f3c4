//! What a turn stands on when it begins, as it is recorded: hashes and names, and no contents.

use super::context::SessionContext;
use super::turn::TurnJob;
use crate::protocol::turn::{EditorSkills, Instruction, InstructionKind, TurnBasis};
use crate::tool::AGENTS_FILE;
use crate::tool::editor_files::Abilities;
use sha2::{Digest as _, Sha256};

/// What the turn begins with, where `built_in` is what every model is told, and `agents` what the workspace adds to it.
pub(super) fn of(job: &TurnJob, built_in: &str, agents: Option<&str>) -> TurnBasis {
    let TurnJob { context, turn_id, provider, model_asked, .. } = job;
    let (mode, trusted, rules_digest) = context.permissions.grounds(&context.settings.rules);
    TurnBasis {
        session_id: context.id.clone(),
        turn_id: turn_id.clone(),
        model_asked: model_asked.clone(),
        model: provider.full_name(),
        instructions: [Some(instruction(InstructionKind::BuiltIn, built_in, None)), agents.map(|text| of_the_workspace(context, text))]
            .into_iter()
            .flatten()
            .collect(),
        tools: context.tools.specs().iter().map(|spec| spec.name.to_owned()).collect(),
        rules_digest,
        mode,
        trusted,
        editor: skills(context),
    }
}

fn of_the_workspace(context: &SessionContext, text: &str) -> Instruction {
    let path = context.workspace.path().join(AGENTS_FILE);
    instruction(InstructionKind::Workspace, text, Some(path.to_string_lossy().into_owned()))
}

fn instruction(kind: InstructionKind, text: &str, path: Option<String>) -> Instruction {
    let sha256 = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Instruction { kind, sha256, bytes: text.len() as u64, path }
}

fn skills(context: &SessionContext) -> EditorSkills {
    let editor = context.channel.editor();
    let Abilities { edits, reads, writes } = editor.abilities();
    EditorSkills { questions: editor.questions(), edits, reads, writes }
}
