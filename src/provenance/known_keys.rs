//! The keys that this process knows, and their removal from whatever it writes: answers, exports, log lines.
//!
//! Invariant: a known key leaves neither raw nor JSON-escaped, URL-, base64- or hex-encoded. Time and memory are linear in
//! the keys and in the text. When there are too many keys to look for, everything counts as one: this fails closed.

mod decode;
mod finder;
#[cfg(test)]
mod tests;

use crate::protocol::record::Texts;
use finder::Finder;
use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

/// What stands where a known key stood.
pub const PLACEHOLDER: &str = "[redacted:known_key]";

/// The shortest key that is looked for, in bytes: a shorter one would be found in ordinary words.
pub const MIN_KEY_BYTES: usize = 8;

/// The known keys of a process.
#[derive(Default)]
pub struct KnownKeys {
    /// Longest first, so that a key which begins like another one goes as a whole.
    keys: Vec<String>,
    /// Built at the first use, so that the start of the process does not wait for it.
    search: OnceLock<Search>,
}

enum Search {
    /// There is nothing to look for.
    Nothing,
    Keys(Box<Finder>),
    /// There are too many keys.
    Everything,
}

impl KnownKeys {
    /// Takes the keys as they are; what is shorter than [`MIN_KEY_BYTES`] is not looked for, and neither is what the
    /// placeholder itself says.
    pub fn new(keys: Vec<String>) -> Self {
        let fit = |key: &&str| key.len() >= MIN_KEY_BYTES && !PLACEHOLDER.contains(key);
        let mut keys: Vec<String> = keys.iter().map(|key| key.trim()).filter(fit).map(String::from).collect();
        keys.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        keys.dedup();
        Self { keys, search: OnceLock::new() }
    }

    /// The configured key, and the value of every variable whose name is that of a secret.
    pub fn from_environment(
        configured: Option<&str>,
        variables: impl IntoIterator<Item = (String, String)>,
        is_secret: impl Fn(&str) -> bool,
    ) -> Self {
        let named = variables.into_iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        Self::new(configured.map(String::from).into_iter().chain(named).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// `text` without the keys.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = match self.search() {
            Search::Nothing => return Cow::Borrowed(text),
            Search::Everything => return Cow::Borrowed(PLACEHOLDER),
            Search::Keys(finder) => finder.find(text),
        };
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut clean, mut kept_from) = (String::with_capacity(text.len()), 0);
        for place in found {
            clean.push_str(&text[kept_from..place.start]);
            clean.push_str(PLACEHOLDER);
            kept_from = place.end;
        }
        clean.push_str(&text[kept_from..]);
        Cow::Owned(clean)
    }

    /// Bytes that may be text, without the keys. What is no text stays as it is.
    pub fn scrub_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.is_empty() {
            return Cow::Borrowed(bytes);
        }
        // A key is text, so that each place of one lies within one piece of text.
        let pieces = bytes.utf8_chunks();
        Cow::Owned(pieces.flat_map(|piece| [self.scrub(piece.valid()).as_bytes(), piece.invalid()].concat()).collect())
    }

    /// How many places of `text` hold a key.
    pub fn count(&self, text: &str) -> u64 {
        match self.search() {
            Search::Nothing => 0,
            Search::Keys(finder) => finder.find(text).len() as u64,
            Search::Everything => 1,
        }
    }

    /// A record, or free-form data, without the keys. Closed lists, counts and times of a record are ours and stay as they
    /// are, so it stays readable even when a key is spelled like one of our words.
    pub fn scrub_record<T: Texts>(&self, mut record: T) -> T {
        if !self.is_empty() {
            record.change_texts(&mut |text| match self.scrub(text) {
                Cow::Borrowed(_) => None,
                Cow::Owned(clean) => Some(clean),
            });
        }
        record
    }

    fn search(&self) -> &Search {
        self.search.get_or_init(|| {
            if self.keys.is_empty() {
                return Search::Nothing;
            }
            Finder::new(&self.keys).map_or(Search::Everything, |finder| Search::Keys(Box::new(finder)))
        })
    }
}

impl fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownKeys({})", self.keys.len())
    }
}

/// Whether an environment variable of this name holds a secret: a word of the name says so, or it is the address of a service, which
/// may have a password in it; and its last word does not say that it only tells where the secret lies, or how one proves who one is.
pub fn names_a_secret(name: &str) -> bool {
    const WORDS: [&str; 8] = ["KEY", "APIKEY", "TOKEN", "SECRET", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS"];
    const OTHERWISE: [&str; 15] =
        ["PATH", "FILE", "DIR", "ID", "NAME", "URL", "URI", "SOCK", "SOCKET", "HOST", "PORT", "METHOD", "MODE", "TYPE", "ENABLED"];
    const SERVICES: [&str; 13] = [
        "DATABASE",
        "DB",
        "POSTGRES",
        "POSTGRESQL",
        "PG",
        "MYSQL",
        "MARIADB",
        "MONGO",
        "MONGODB",
        "REDIS",
        "AMQP",
        "RABBITMQ",
        "CLICKHOUSE",
    ];
    let upper = name.to_ascii_uppercase();
    let words: Vec<_> = upper.split(['_', '-', '.', ':', '/']).filter(|word| !word.is_empty()).collect();
    let Some((last, before)) = words.split_last() else { return false };
    let is_address = match *last {
        "DSN" => true,
        "URL" | "URI" => before.last().is_some_and(|service| SERVICES.contains(service)),
        "STRING" => before.last() == Some(&"CONNECTION"),
        _ => false,
    };
    // Its file of passwords is no password, but opens as much.
    if is_address || words.iter().any(|word| word.starts_with("PGPASS")) {
        return true;
    }
    // `GIT_AUTHOR_NAME` is nobody's key.
    let proves = |word: &str| word.starts_with("AUTH") && (!word.starts_with("AUTHOR") || word.starts_with("AUTHORIZ"));
    let says = |word: &&str| WORDS.contains(word) || word.ends_with("PASSWORD") || proves(word);
    !OTHERWISE.contains(last) && (words.iter().any(says) || (*last == "PAT" && !before.is_empty()))
}
