//! A confinement among a keeper's arguments: a word about it as JSON, and behind it the directories, each as it is.
//!
//! Invariant: a directory arrives as it was sent, whatever its bytes are.

use super::directory::{Directory, Id};
use super::{Confinement, Network, Strictness};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;

/// What stands in the place of the word if nothing is confined.
const NOT_CONFINED: &str = "-";

#[derive(Serialize, Deserialize)]
struct Head {
    network: Network,
    strictness: Strictness,
    /// What the directories are whose paths are the arguments that follow.
    writable: Vec<Id>,
}

impl Confinement {
    pub(in crate::process) fn write(confinement: Option<&Self>) -> io::Result<Vec<OsString>> {
        let Some(Self { writable, network, strictness }) = confinement else { return Ok(vec![NOT_CONFINED.into()]) };
        let ids = writable.iter().map(|directory| directory.id).collect();
        let head = Head { network: *network, strictness: *strictness, writable: ids };
        let mut arguments = vec![serde_json::to_string(&head)?.into()];
        arguments.extend(writable.iter().map(|directory| directory.path.clone().into_os_string()));
        Ok(arguments)
    }

    /// # Errors
    /// It is not what [`Confinement::write`] wrote: then nobody knows what the command may do, and it must not start.
    pub(in crate::process) fn read(arguments: &mut impl Iterator<Item = OsString>) -> io::Result<Option<Self>> {
        let head = arguments.next().ok_or_else(|| invalid("no confinement was given"))?;
        if head == NOT_CONFINED {
            return Ok(None);
        }
        let head: Head = serde_json::from_slice(head.as_encoded_bytes())?;
        let mut writable = Vec::with_capacity(head.writable.len());
        for id in head.writable {
            let path = arguments.next().ok_or_else(|| invalid("fewer directories were given than announced"))?.into();
            writable.push(Directory { path, id });
        }
        Ok(Some(Self { writable, network: head.network, strictness: head.strictness }))
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::{Path, PathBuf};

    #[test]
    fn a_confinement_arrives_as_it_was_sent_and_takes_no_more_than_its_own() {
        let odd = PathBuf::from(OsString::from_vec(b"/home/\xff\xfe \"-\n".to_vec()));
        let root = Directory::at(Path::new("/")).expect("a directory");
        let writable = [odd, "-".into()].map(|path| Directory { path, ..root.clone() }).to_vec();
        let confinement = Confinement { writable, network: Network::Off, strictness: Strictness::Required };
        for sent in [None, Some(confinement)] {
            let mut arguments = Confinement::write(sent.as_ref()).expect("arguments");
            arguments.push("program".into());
            let mut arguments = arguments.into_iter();
            assert_eq!(Confinement::read(&mut arguments).expect("a confinement"), sent);
            assert_eq!(arguments.collect::<Vec<_>>(), ["program"]);
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_never_no_confinement() {
        let arguments: [&[&str]; 5] = [
            &[],
            &["/bin/true"],
            &["{}"],
            &[r#"{"network":"maybe","strictness":"required","writable":[]}"#],
            &[r#"{"network":"on","strictness":"required","writable":[{"device":1,"inode":2},{"device":1,"inode":3}]}"#, "/a"],
        ];
        for arguments in arguments {
            let mut given = arguments.iter().map(OsString::from);
            assert!(Confinement::read(&mut given).is_err(), "{arguments:?}");
        }
    }
}
