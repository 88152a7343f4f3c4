//! One model, its thread and its queue of requests.
//!
//! Invariant: the thread looks at its listener before every batch of the prompt and before every token, so an answer
//! that nobody wants costs at most one of them. llama.cpp has no other way to be interrupted.

#[cfg(test)]
mod tests;

use super::chat::{ChatMessage, ChatTemplate, conversation};
use super::text::TextJoiner;
use crate::protocol::diagnostics::{StreamFailure, Usage, UsageSource};
use crate::protocol::message::Message;
use crate::protocol::model::{FinishReason, ModelEvent};
use crate::provider::failure::{ProtocolKind, protocol};
use futures_util::{Stream, stream};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::{LogOptions, send_logs_to_tracing};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// The largest context window that is used, in tokens: memory grows with it, and the whole of it is taken at once.
pub(super) const LARGEST_WINDOW: u32 = 8192;

/// Tokens of the prompt that are read between two looks at the listener.
const BATCH: usize = 64;

/// Events that may wait for a listener; a model that is faster than its listener waits.
const EVENTS: usize = 64;

/// The one sequence of tokens in the context.
const SEQUENCE: i32 = 0;

/// As the authors of the default model advise, and the same answer each time.
const TEMPERATURE: f32 = 0.2;
const TOP_P: f32 = 0.9;
const SEED: u32 = 0;
/// Small models repeat themselves for ever without this.
const REPEAT_WINDOW: i32 = 64;
const REPEAT_PENALTY: f32 = 1.1;

type Listener = mpsc::Sender<Result<ModelEvent, StreamFailure>>;

/// The queue of a model's thread. The thread ends when the queue is dropped.
pub(super) struct Engine {
    jobs: std::sync::mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

struct Job {
    conversation: Vec<ChatMessage>,
    listener: Listener,
}

/// Why an answer ends early.
enum Halt {
    /// Nobody listens any more.
    Unheard,
    Failed(Box<StreamFailure>),
}

impl Engine {
    /// Starts the thread; the model is loaded when the first request comes.
    pub(super) fn start(path: PathBuf, window: u32) -> std::io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("local-model".into()).spawn(move || work(&path, window, &queue))?;
        Ok(Self { jobs, thread })
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Queues a request. The stream always says how it ended.
    pub(super) fn answer(&self, history: &[Arc<Message>]) -> impl Stream<Item = Result<ModelEvent, StreamFailure>> + use<> {
        let (listener, mut events) = mpsc::channel(EVENTS);
        // When the thread is gone the job is dropped, its listener with it, and the stream below tells.
        let _ = self.jobs.send(Job { conversation: conversation(history.iter().map(Arc::as_ref)), listener });
        let mut ended = false;
        stream::poll_fn(move |context| {
            if ended {
                return Poll::Ready(None);
            }
            let event = match ready!(events.poll_recv(context)) {
                Some(event) => event,
                None => Err(*failure(ProtocolKind::ModelFailed, "the model's thread ended unexpectedly; start pillion again")),
            };
            ended = matches!(event, Err(_) | Ok(ModelEvent::Finish { .. }));
            Poll::Ready(Some(event))
        })
    }
}

/// The thread: loads the model for the first request that is still wanted, then answers one after the other.
fn work(path: &Path, window: u32, queue: &std::sync::mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        if job.listener.is_closed() {
            continue;
        }
        match load(path, &job.listener) {
            Ok(model) => match Reader::new(&model, window) {
                Ok(mut reader) => {
                    reader.serve(job);
                    queue.iter().for_each(|job| reader.serve(job));
                }
                Err(failure) => job.tell(*failure),
            },
            Err(Halt::Failed(failure)) => job.tell(*failure),
            Err(Halt::Unheard) => {}
        }
    }
}

impl Job {
    fn tell(&self, failure: StreamFailure) {
        // A listener that left needs no answer.
        let _ = self.listener.blocking_send(Err(failure));
    }

    fn send(&self, event: ModelEvent) -> Result<(), Halt> {
        self.listener.blocking_send(Ok(event)).map_err(|_| Halt::Unheard)
    }

    fn still_heard(&self) -> Result<(), Halt> {
        if self.listener.is_closed() { Err(Halt::Unheard) } else { Ok(()) }
    }
}

fn backend() -> Result<&'static LlamaBackend, Box<StreamFailure>> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            // Its log goes to stderr otherwise, hundreds of lines for each model.
            send_logs_to_tracing(LogOptions::default().with_logs_enabled(false));
            LlamaBackend::init().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| failure(ProtocolKind::ModelFailed, format!("llama.cpp did not start: {error}; choose another provider")))
}

fn load(path: &Path, listener: &Listener) -> Result<LlamaModel, Halt> {
    let backend = backend().map_err(Halt::Failed)?;
    let listens = listener.clone();
    let params = LlamaModelParams::default().with_progress_callback(move |_| !listens.is_closed());
    LlamaModel::load_from_file(backend, path, &params).map_err(|_| {
        if listener.is_closed() {
            return Halt::Unheard;
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Halt::Failed(failure(
            ProtocolKind::ModelLoad,
            format!("{name} could not be loaded: it is damaged, too large for this machine's memory, or newer than this build's llama.cpp"),
        ))
    })
}

/// A loaded model with its context: reads prompts and writes answers.
struct Reader<'model> {
    model: &'model LlamaModel,
    context: LlamaContext<'model>,
    template: ChatTemplate,
    batch: LlamaBatch<'static>,
    /// What the context holds: the next prompt is read from where it differs.
    held: Vec<LlamaToken>,
    /// The bytes of the longest token.
    longest_token: usize,
}

impl<'model> Reader<'model> {
    fn new(model: &'model LlamaModel, window: u32) -> Result<Self, Box<StreamFailure>> {
        let template = chat_template(model)?;
        // One core stays free: where threads wait for a core in turn, the model's own barriers take all the time.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = i32::try_from(cores.saturating_sub(1).max(1)).unwrap_or(1);
        let batch = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(window.min(model.n_ctx_train())))
            .with_n_batch(batch)
            .with_n_ubatch(batch)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let context = model.new_context(backend()?, params).map_err(|error| {
            failure(ProtocolKind::ModelFailed, format!("the model's context could not be made: {error}; is there enough memory?"))
        })?;
        let longest_token = model.tokens(true).map(|(_, bytes)| bytes.len()).max().unwrap_or(1);
        Ok(Self { model, context, template, batch: LlamaBatch::new(BATCH, 1), held: Vec::new(), longest_token })
    }

    fn serve(&mut self, job: Job) {
        if let Err(Halt::Failed(failure)) = self.answer(&job) {
            job.tell(*failure);
        }
    }

    fn answer(&mut self, job: &Job) -> Result<(), Halt> {
        job.send(ModelEvent::RequestSent)?;
        let prompt = self.prompt(&job.conversation).map_err(Halt::Failed)?;
        let cached = self.read(&prompt, job)?;
        let (written, reason, raw) = self.write(job)?;
        job.send(ModelEvent::Usage(Usage {
            source: UsageSource::Provider,
            input_tokens: Some(prompt.len() as u64),
            output_tokens: Some(written),
            reasoning_tokens: None,
            cached_input_tokens: Some(cached as u64),
            cache_write_input_tokens: None,
        }))?;
        job.send(ModelEvent::Finish { reason, raw: raw.into() })
    }

    fn window(&self) -> usize {
        self.context.n_ctx() as usize
    }

    /// The prompt as tokens, with room for at least one more in the window.
    fn prompt(&self, conversation: &[ChatMessage]) -> Result<Vec<LlamaToken>, Box<StreamFailure>> {
        let text = self.template.render(conversation).map_err(|error| template_failure(&error))?;
        let window = self.window();
        let too_long = |tokens: String| {
            let advice = "begin a new session, or choose a model with a larger window";
            failure(
                ProtocolKind::ContextWindow,
                format!("the conversation has {tokens} tokens and the model's window holds {window}; {advice}"),
            )
        };
        // Counting the tokens of a text takes long when it is long; this much cannot fit however it is cut.
        let fewest = text.len() / self.longest_token;
        if fewest >= window {
            return Err(too_long(format!("at least {fewest}")));
        }
        // A template that writes the beginning itself must not get a second one.
        let add_bos = self.template.bos.is_empty() || !text.starts_with(&self.template.bos);
        let tokens = self.model.vocab().tokenize(text.as_bytes(), add_bos, true);
        match tokens.len() {
            0 => Err(failure(ProtocolKind::ChatTemplate, "the model's chat template made an empty prompt; choose another model")),
            count if count >= window => Err(too_long(count.to_string())),
            _ => Ok(tokens),
        }
    }

    /// Reads the prompt into the context, except for the beginning that it holds already; returns the length of that.
    fn read(&mut self, prompt: &[LlamaToken], job: &Job) -> Result<usize, Halt> {
        // The last token is always read: the first token of the answer is drawn from its result.
        let reusable = &prompt[..prompt.len().saturating_sub(1)];
        let mut same = self.held.iter().zip(reusable).take_while(|(a, b)| a == b).count();
        let forgot = u32::try_from(same).is_ok_and(|from| matches!(self.context.clear_kv_cache_seq(Some(0), Some(from), None), Ok(true)));
        if !forgot {
            // Recurrent models cannot forget a part.
            self.context.clear_kv_cache();
            same = 0;
        }
        self.held.truncate(same);
        for tokens in prompt[same..].chunks(BATCH) {
            job.still_heard()?;
            self.decode(tokens)?;
        }
        Ok(same)
    }

    /// Writes the answer; returns how many tokens it has and why it ended.
    fn write(&mut self, job: &Job) -> Result<(u64, FinishReason, &'static str), Halt> {
        let vocab = self.model.vocab();
        let mut sampler = LlamaSampler::chain_simple([
            LlamaSampler::penalties(vocab.n_tokens(), REPEAT_WINDOW, REPEAT_PENALTY, 0.0, 0.0),
            LlamaSampler::top_p(TOP_P, 1),
            LlamaSampler::temp(TEMPERATURE),
            LlamaSampler::dist(SEED),
        ]);
        let mut joiner = TextJoiner::default();
        let mut written = 0;
        let (reason, raw) = loop {
            job.still_heard()?;
            let token = sampler.sample(&self.context, -1);
            if vocab.is_eog(token) {
                break (FinishReason::EndTurn, "end_of_generation");
            }
            written += 1;
            let text = joiner.push(&vocab.token_to_piece(token, false, None));
            if !text.is_empty() {
                job.send(ModelEvent::Text(text))?;
            }
            if self.held.len() == self.window() {
                break (FinishReason::MaxTokens, "context_window");
            }
            self.decode(&[token])?;
        };
        let rest = joiner.finish();
        if !rest.is_empty() {
            job.send(ModelEvent::Text(rest))?;
        }
        Ok((written, reason, raw))
    }

    /// Takes at most [`BATCH`] tokens into the context; the result of the last one can be sampled.
    fn decode(&mut self, tokens: &[LlamaToken]) -> Result<(), Halt> {
        self.batch.clear();
        for (at, token) in tokens.iter().enumerate() {
            let position = i32::try_from(self.held.len() + at).unwrap_or(i32::MAX);
            let last = at + 1 == tokens.len();
            self.batch
                .add(*token, position, &[SEQUENCE], last)
                .map_err(|error| Halt::Failed(failure(ProtocolKind::ModelFailed, error.to_string())))?;
        }
        if let Err(error) = self.context.decode(&mut self.batch) {
            // Nobody knows how much of the batch the context took.
            self.context.clear_kv_cache();
            self.held.clear();
            return Err(Halt::Failed(failure(
                ProtocolKind::ModelFailed,
                format!("the model failed at its work: {error}; send the prompt again"),
            )));
        }
        self.held.extend_from_slice(tokens);
        Ok(())
    }
}

fn chat_template(model: &LlamaModel) -> Result<ChatTemplate, Box<StreamFailure>> {
    let source = model.chat_template(None).ok().and_then(|template| template.to_string().ok());
    let source = source.ok_or_else(|| {
        failure(
            ProtocolKind::ChatTemplate,
            "the model file has no chat template, so it cannot hold a conversation; choose an instruct model",
        )
    })?;
    let vocab = model.vocab();
    let spelling = |token| vocab.text(token).and_then(|text| text.to_str().ok());
    // A model without such a token has -1 here, which llama.cpp must not be asked about.
    let known = |token: LlamaToken| if token.0 < 0 { "" } else { spelling(token).unwrap_or_default() };
    let control = vocab.tokens().filter(|token| vocab.is_control(*token)).filter_map(spelling);
    ChatTemplate::compile(source, known(vocab.bos()).into(), known(vocab.eos()).into(), control).map_err(|error| template_failure(&error))
}

fn template_failure(error: &minijinja::Error) -> Box<StreamFailure> {
    failure(ProtocolKind::ChatTemplate, format!("the model's chat template cannot be used: {error}; choose another model"))
}

fn failure(kind: ProtocolKind, message: impl AsRef<str>) -> Box<StreamFailure> {
    protocol(kind, message, None, &["the model runs in this process"])
}
