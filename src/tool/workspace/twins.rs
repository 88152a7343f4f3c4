//! A file has as many names as it has hard links, and a rule that names one of them means the file.
//!
//! Invariant: what cannot be told counts as forbidden; a search for names has an end, and takes at most a tenth of the time.

use super::{EntryKind, FileId, Place, Workspace, WorkspaceError, beneath};
use rustix::fd::AsFd;
use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

/// The most names of a workspace that are looked at, in all its directories.
const MAX_NAMES: usize = 200_000;

/// What is found is good for so many times as long as it took to find.
const GOOD_FOR: u32 = 10;

/// The files that a rule names.
#[derive(Debug)]
pub(super) struct Named {
    places: HashMap<FileId, Place>,
    are_all: bool,
    until: Instant,
}

impl Workspace {
    /// The name by which rules mean what lies at `place`: where it really is, or another hard link to it that one of them names.
    pub(in crate::tool) fn ruled(&self, place: &Place) -> Place {
        let real = self.resolved(place);
        let opened = beneath::open(self.root.as_fd(), real.as_path(), beneath::READ).ok();
        let about = opened.and_then(|handle| File::from(handle).metadata().ok());
        about.and_then(|about| self.twin(&real, &about).ok().flatten()).unwrap_or(real)
    }

    /// Another name of this file that a rule forbids or wants asked about.
    ///
    /// # Errors
    /// There are too many names to tell.
    pub(super) fn twin(&self, place: &Place, about: &Metadata) -> Result<Option<Place>, WorkspaceError> {
        if !about.is_file() || about.nlink() < 2 || !self.hidden().iter().any(|rules| rules.restrict_reading()) {
            return Ok(None);
        }
        let mut named = self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if named.as_ref().is_none_or(|named| named.until < Instant::now()) {
            *named = Some(self.named_by_rules());
        }
        let Some(named) = &*named else { return Ok(None) };
        match named.places.get(&FileId::of(about)) {
            Some(twin) => Ok(Some(twin.clone())),
            None if named.are_all => Ok(None),
            None => Err(WorkspaceError::ManyNames { place: place.clone(), links: about.nlink() }),
        }
    }

    fn named_by_rules(&self) -> Named {
        let begun = Instant::now();
        let (mut places, mut names, mut are_all) = (HashMap::new(), 0, true);
        let mut directories = VecDeque::from([Place::root()]);
        while let Some(directory) = directories.pop_front() {
            let Ok(listing) = self.directory(&directory) else { continue };
            names += listing.entries.len();
            are_all &= !listing.more && names <= MAX_NAMES;
            if names > MAX_NAMES {
                break;
            }
            for entry in listing.entries {
                let place = directory.join(&entry.name);
                match entry.kind {
                    EntryKind::Directory => directories.push_back(place),
                    EntryKind::File => {
                        let is_forbidden = self.may_read(&place).is_err();
                        if !is_forbidden && !self.is_asked_about(&place) {
                            continue;
                        }
                        let handle = beneath::open(self.root.as_fd(), place.as_path(), beneath::READ);
                        let about = handle.ok().and_then(|handle| File::from(handle).metadata().ok());
                        let Some(id) = about.as_ref().map(FileId::of) else { continue };
                        // Of two names the one that is forbidden counts.
                        if is_forbidden || !places.contains_key(&id) {
                            places.insert(id, place);
                        }
                    }
                    EntryKind::Link | EntryKind::Other => {}
                }
            }
        }
        Named { places, are_all, until: Instant::now() + begun.elapsed() * GOOD_FOR }
    }
}
