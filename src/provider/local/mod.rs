//! The `local` provider: a GGUF model in this process, with no key and no server.
//!
//! Invariant: a model is loaded at most once however many sessions use it, on a thread of its own, and not before the
//! first request. Dropping an answer's stream stops the model at its next batch or token.

mod chat;
mod engine;
#[cfg(test)]
mod tests;
mod text;

use crate::protocol::diagnostics::StreamFailure;
use crate::protocol::model::{ModelEvent, ModelRequest};
use crate::provider::{Provider, TitleSupport};
use engine::Engine;
use etcetera::BaseStrategy;
use futures_util::FutureExt;
use futures_util::stream::BoxStream;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// What the default model is good for; shown wherever it is offered.
pub const ABOUT: &str = "a small model to try pillion with, not for coding: it calls no tools and is often wrong";

/// The default model, below the cache directory; `scripts/model.sh` puts it there.
const DEFAULT_MODEL: &str = "pillion/models/SmolLM2-135M-Instruct.Q4_1.gguf";

/// What every GGUF file begins with.
const GGUF_MAGIC: &[u8; 4] = b"GGUF";

/// A model in this process. Clones and further [`Local::open`]s of the same file share the loaded model.
#[derive(Clone)]
pub struct Local {
    /// The file's name: the path stays out of the records.
    model: Arc<str>,
    engine: Arc<Engine>,
}

/// Why a model file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("the home directory is unknown, so the default model cannot be found; set HOME, or name a file with local:FILE.gguf")]
    NoHome,
    #[error("the default model is not at {}; `bash scripts/model.sh` in pillion's repository fetches it (93 MB); it is {ABOUT}", .0.display())]
    NoDefaultModel(PathBuf),
    #[error("cannot read the model file {}: {source}; name a GGUF file with local:FILE.gguf", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a GGUF file; name one with local:FILE.gguf", .0.display())]
    NotGguf(PathBuf),
    #[error("cannot start the model's thread: {0}; end some processes and try again")]
    Thread(io::Error),
}

impl Local {
    /// Opens a model file, or the small default model when there is no path. Nothing is loaded yet.
    ///
    /// # Errors
    /// The file is missing, unreadable or no GGUF file.
    pub fn open(path: Option<PathBuf>) -> Result<Self, LocalError> {
        let path = match path {
            Some(path) => path,
            None => {
                let path = default_model()?;
                if !path.exists() {
                    return Err(LocalError::NoDefaultModel(path));
                }
                path
            }
        };
        let path = checked(&path)?;
        let model = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into();
        Ok(Self { model, engine: shared_engine(path)? })
    }
}

/// Where the default model is expected.
///
/// # Errors
/// Nobody knows where the home directory is.
pub fn default_model() -> Result<PathBuf, LocalError> {
    let base = etcetera::choose_base_strategy().map_err(|_| LocalError::NoHome)?;
    Ok(base.cache_dir().join(DEFAULT_MODEL))
}

/// Ends the process at once; a program that may have a model at work ends like this.
///
/// An ordinary exit runs the destructors of llama.cpp's statics, and its threads, still at their last token, crash in
/// them: a turn that was stopped with Ctrl-C would end as a segmentation fault.
pub fn exit(code: i32) -> ! {
    // Nobody flushes it afterwards.
    let _ = io::stdout().flush();
    signal_hook::low_level::exit(code)
}

impl Provider for Local {
    fn name(&self) -> &str {
        "local"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn titles(&self) -> TitleSupport {
        TitleSupport::Heuristic
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, StreamFailure>> {
        let engine = Arc::clone(&self.engine);
        Box::pin(futures_util::future::lazy(move |_| engine.answer(&request.messages)).flatten_stream())
    }
}

/// The file's one true path, if it is a readable GGUF file.
fn checked(path: &Path) -> Result<PathBuf, LocalError> {
    let unreadable = |source| LocalError::Unreadable { path: path.to_owned(), source };
    let path = path.canonicalize().map_err(unreadable)?;
    let mut magic = [0; GGUF_MAGIC.len()];
    match File::open(&path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if &magic == GGUF_MAGIC => Ok(path),
        Ok(()) => Err(LocalError::NotGguf(path)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LocalError::NotGguf(path)),
        Err(error) => Err(unreadable(error)),
    }
}

/// The engines of this process.
#[derive(Default)]
struct Engines {
    running: HashMap<PathBuf, Weak<Engine>>,
    /// Kept loaded between the turns of a session.
    latest: Option<Arc<Engine>>,
}

/// The engine of this file: the one that runs already, or a new one. It ends with its last user, or, as the latest,
/// when another one is opened.
fn shared_engine(path: PathBuf) -> Result<Arc<Engine>, LocalError> {
    static ENGINES: LazyLock<Mutex<Engines>> = LazyLock::new(Mutex::default);
    let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    engines.running.retain(|_, engine| engine.strong_count() > 0);
    let engine = match engines.running.get(&path).and_then(Weak::upgrade).filter(|engine| engine.is_alive()) {
        Some(engine) => engine,
        None => Arc::new(Engine::start(path.clone(), engine::LARGEST_WINDOW).map_err(LocalError::Thread)?),
    };
    engines.running.insert(path, Arc::downgrade(&engine));
    engines.latest = Some(Arc::clone(&engine));
    Ok(engine)
}
