//! The parts of one process put together: which store, which providers, which tools. `serve` and `cli` start from here.

use crate::build_info;
use crate::config::{Limits, ModelName, ProviderKind, Providers, Settings, Speaks};
use crate::export::{ExportError, ExportOptions, Sanitize, without_secrets, write_export};
use crate::process::{self, Keeper};
use crate::protocol::export::{Completeness, Runtime};
use crate::protocol::ids::SessionId;
use crate::protocol::params::{BadField, ExportParams};
use crate::protocol::results::ExportResult;
use crate::provenance::{KnownKeys, Provenance, panics};
use crate::provider::anthropic::Messages;
use crate::provider::openai::ChatCompletions;
use crate::provider::responses::Responses;
use crate::provider::scripted::Scripted;
use crate::provider::wire::{AnswerLimits, Protocol, Remote, RemoteOptions};
use crate::provider::{Provider, reach};
use crate::session::{self, Exporter, Parts, Refusal, SingleFile};
use crate::store::{Closing, Store};
use crate::tool::command::longest_command;
use crate::tool::documents::Documents;
use crate::tool::{ToolSet, standard_tools};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a model server on this machine may take to answer when no model was chosen.
const REACH_TIMEOUT: Duration = Duration::from_millis(300);

/// Everything that one process serves sessions with.
#[derive(Clone)]
pub struct Host {
    pub parts: Parts,
    /// One look at a time for what the dead have left: whoever comes second finds the work done.
    looking: Arc<Mutex<()>>,
}

impl Host {
    /// Puts the parts together. The store is opened beside this, on its own thread; nothing is waited for.
    pub fn new(settings: Settings) -> Self {
        panics::watch();
        // Also those that only the settings call secret.
        process::wipe(|name| settings.is_secret(name));
        let known_keys = Arc::new(settings.known_keys(process::variables()));
        let provenance = if settings.deterministic { Provenance::deterministic() } else { Provenance::real() }.knowing(known_keys);
        let store = Store::open(settings.data_dir.clone()).with_durability(settings.durability);
        let settings = Arc::new(settings);
        let (chosen, known) = (Arc::clone(&settings), Arc::clone(&settings.providers));
        let parts = Parts {
            provenance,
            store,
            providers: Arc::new(move |name| provider(&chosen, name)),
            no_model: Arc::new(move || no_model(Arc::clone(&known)).boxed()),
            tools: Arc::new(ToolSet::new(standard_tools(longest_command(&settings)))),
            keeper: Keeper::this_program(),
            environment: settings.command_environment(process::variables()).into(),
            documents: Documents::default(),
            single_file: SingleFile::default(),
            settings,
        };
        Self { parts, looking: Arc::default() }
    }

    /// The same for who only reads: nothing where there is no store yet.
    pub fn of_what_is_stored(settings: Settings) -> Option<Self> {
        Store::is_made(&settings.data_dir).then(|| Self::new(settings))
    }

    /// Starts the log of this process, without any known key or what looks like one.
    pub fn start_log(&self) -> crate::telemetry::Telemetry {
        let (settings, keys) = (&self.parts.settings, Arc::clone(&self.parts.provenance.keys));
        let log = crate::telemetry::start(&settings.log_file, settings.log_level, Box::new(move |line| clean(&keys, line)));
        if let Some(warning) = self.parts.provenance.clock.warning() {
            tracing::warn!("{warning}");
        }
        log
    }

    /// Whether a file at `path` would stand among pillion's own, where it could be taken for one of them.
    pub fn is_own_place(&self, path: &Path) -> bool {
        let Ok(data_dir) = self.parts.settings.data_dir.canonicalize() else { return false };
        let directory = path.parent().map(|directory| if directory.as_os_str().is_empty() { Path::new(".") } else { directory });
        directory.and_then(|directory| directory.canonicalize().ok()).is_some_and(|directory| directory.starts_with(&data_dir))
    }

    /// What the wire exports with.
    pub fn exporter(&self) -> Exporter {
        let host = self.clone();
        Arc::new(move |params| {
            let host = host.clone();
            async move { host.answer_export(params).await }.boxed()
        })
    }

    /// Closes what dead processes have left open; gives what could not be stored of that.
    pub async fn recover(&self) -> Vec<Closing> {
        let _one_at_a_time = self.looking.lock().await;
        session::recover(&self.parts).await
    }

    /// Lets go of the store, with everything in it on the disk.
    pub async fn close(&self) {
        if let Err(error) = self.parts.store.close().await {
            tracing::warn!(%error, "the store could not be closed");
        }
    }

    /// Writes a session's export to `out`: also of a dead process's turn, whether or not that can be stored. Returns `out` and whether anything was missing; `None`: no such session.
    ///
    /// # Errors
    /// The store could not be read or `out` not be written.
    pub async fn export<W: Write + Send + 'static>(
        &self,
        session: &SessionId,
        sanitize: Sanitize,
        mut out: W,
    ) -> Result<Option<(W, Completeness)>, ExportError> {
        let unrecorded = self.recover().await;
        let options = ExportOptions {
            sanitize,
            exported_at: self.parts.provenance.clock.wall_ms(),
            runtime: self.runtime(),
            known_keys: Arc::clone(&self.parts.provenance.keys),
        };
        let write = move |snapshot: &mut crate::store::Snapshot| write_export(snapshot, &options, &mut out).map(|complete| (out, complete));
        match self.parts.store.snapshot_as_if(session, unrecorded, write).await {
            Ok(Some(written)) => written.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(ExportError::read(error)),
        }
    }

    fn runtime(&self) -> Runtime {
        Runtime {
            app_version: build_info::runtime_version().into(),
            channel: build_info::channel().into(),
            target: build_info::target().into(),
            os: build_info::os().into(),
            config_digest: self.parts.settings.digest(),
            commit: build_info::commit().map(Into::into),
        }
    }

    async fn answer_export(&self, params: ExportParams) -> Result<ExportResult, Refusal> {
        let sanitize = if params.sanitize { Sanitize::Yes } else { Sanitize::No };
        let unknown = || Refusal::UnknownSession(params.session_id.clone());
        let failed = |error: ExportError| Refusal::Export(error.to_string());
        let limit = self.parts.settings.limits.result;
        if let Some(path) = &params.path {
            if self.is_own_place(Path::new(path)) {
                return Err(BadField::new("path", "must be outside of pillion's data directory").into());
            }
            let file = new_file(path)?;
            let sink = Hashed { out: file, sha: Sha256::new(), bytes: 0 };
            let written = self.export(&params.session_id, sanitize, sink).await;
            if !matches!(written, Ok(Some(_))) {
                // What stands there is no export; it is ours, since nothing was there before.
                let _ = std::fs::remove_file(path);
            }
            let (sink, _) = written.map_err(failed)?.ok_or_else(unknown)?;
            let sha256 = sink.sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok(ExportResult { export: None, path: Some(path.clone()), bytes: Some(sink.bytes), sha256: Some(sha256) });
        }
        let written = self.export(&params.session_id, sanitize, Bounded { buffer: Vec::new(), limit }).await;
        let (sink, _) = match written {
            Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::FileTooLarge => return Err(Refusal::ResultTooLarge { limit }),
            written => written.map_err(failed)?.ok_or_else(unknown)?,
        };
        let text = String::from_utf8(sink.buffer).map_err(|error| Refusal::Export(error.to_string()))?;
        let export = serde_json::value::RawValue::from_string(text).map_err(|error| Refusal::Export(error.to_string()))?;
        Ok(ExportResult { export: Some(export), path: None, bytes: None, sha256: None })
    }
}

/// A line of the log as it may be written.
fn clean<'l>(keys: &KnownKeys, line: &'l str) -> Cow<'l, str> {
    match keys.scrub(line) {
        Cow::Borrowed(line) => without_secrets(line),
        Cow::Owned(line) => Cow::Owned(without_secrets(&line).into_owned()),
    }
}

fn provider(settings: &Settings, name: &ModelName) -> Result<Arc<dyn Provider>, String> {
    match &name.provider {
        ProviderKind::Remote(provider) => match settings.providers.get(provider).map(|provider| provider.speaks) {
            Some(Speaks::ChatCompletions) => remote::<ChatCompletions>(settings, name),
            Some(Speaks::Responses) => remote::<Responses>(settings, name),
            Some(Speaks::Messages) => remote::<Messages>(settings, name),
            None => Err(format!("there is no provider `{provider}` any more; choose another model")),
        },
        ProviderKind::Scripted => {
            Scripted::open(&name.model).map(|script| Arc::new(script) as Arc<dyn Provider>).map_err(|error| error.to_string())
        }
        ProviderKind::Local => local(&name.model),
    }
}

/// A model that is asked over HTTP, at the configured address or else where its vendor answers.
fn remote<P: Protocol>(settings: &Settings, name: &ModelName) -> Result<Arc<dyn Provider>, String> {
    let env = |variable: &str| process::variable(variable)?.into_string().ok();
    let options = RemoteOptions {
        name: name.provider.name().into(),
        base_url: settings.base_url_of(&name.provider).unwrap_or_default().to_owned(),
        model: name.model.clone(),
        api_key: settings.key_of(&name.provider, &env).map_err(|error| error.to_string())?,
        limits: answer_limits(settings),
    };
    Remote::<P>::new(options).map(|provider| Arc::new(provider) as Arc<dyn Provider>).map_err(|error| error.to_string())
}

fn answer_limits(settings: &Settings) -> AnswerLimits {
    let Limits { answer_calls, call, turn_text, .. } = settings.limits;
    AnswerLimits { calls: answer_calls, call_bytes: call, text_bytes: turn_text }
}

#[cfg(feature = "local")]
fn local(model: &str) -> Result<Arc<dyn Provider>, String> {
    let path = (!model.is_empty()).then(|| model.into());
    crate::provider::local::Local::open(path).map(|local| Arc::new(local) as Arc<dyn Provider>).map_err(|error| error.to_string())
}

#[cfg(not(feature = "local"))]
fn local(_model: &str) -> Result<Arc<dyn Provider>, String> {
    Err("this pillion was built without the embedded model; build it with `cargo build --release --features local`".into())
}

/// What is within reach when nobody chose a model, and the setting that chooses one.
async fn no_model(providers: Arc<Providers>) -> String {
    let found = reach::within_reach(&providers, REACH_TIMEOUT).await;
    let within = if found.is_empty() {
        "nothing is within reach (no key in the environment, no model server on this machine)".to_owned()
    } else {
        format!("within reach: {}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    format!("no model is chosen; set --model, PILLION_MODEL or `model` in config.toml to provider:model. {within}")
}

fn new_file(path: &str) -> Result<std::fs::File, BadField> {
    if !Path::new(path).is_absolute() {
        return Err(BadField::new("path", "must be an absolute path"));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BadField::new("path", "must name a file that does not exist yet; nothing is overwritten"),
        io::ErrorKind::NotFound => BadField::new("path", "must be in a directory that exists; make it, or choose another place"),
        _ => BadField::new("path", format!("must be a file that can be created: {error}")),
    })
}

/// Counts and hashes what passes through.
struct Hashed<W> {
    out: W,
    sha: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sha.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A buffer that refuses to grow beyond the limit of a result.
struct Bounded {
    buffer: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
