//! Caches the packed form of training text, so that the next run on the same text starts at once.
//!
//! Several processes may need the same text at once. One holds the lock of the entry and packs, resumably; the others wait
//! for it. A process that cannot have the lock, or sees no progress of the one that holds it, packs under a name of its own.
//! An entry gets its name when it is complete, and is never replaced while it is whole.

use super::super::packed::{PackedFault, is_packed};
use super::super::read::{Compression, Form, Input, OnMalformed, inputs};
use super::super::{DataError, Tokenizer};
use super::entry::{Entry, discard, look, own, publish, remove_damaged, shared, sweep};
use super::progress::key;
use super::side::Validation;
use super::work::{Packed, Packing, Seen, lock_of, pack_alone};
use crate::cache_folder::cache_folder;
use crate::durable::hidden;
use crate::lock::{Attempt, Lock};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Plain text up to this many bytes is not cached: encoding it takes seconds.
const SMALL: u64 = 32 << 20;
/// Time between two looks at an entry that another process makes.
const LOOK: Duration = Duration::from_millis(50);
/// A process that has shown no sign of life for this long has been stopped.
const STOPPED: Duration = Duration::from_secs(30);
/// Time between two signs of life. A process that resumes work reads for long before it writes.
const SIGN: Duration = Duration::from_secs(5);

/// A packed file in the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The packed file.
    pub path: PathBuf,
    /// Result of packing; `None` if the file was in the cache already.
    pub made: Option<Packed>,
}

/// Packs the documents of `data` into the cache, unless the packed file is there already and whole. A change of a file, its time
/// of modification, `field` or the tokenizer gives another packed file.
///
/// Returns `None` if `data` can be read without packing: packed files, or a small amount of plain text.
///
/// The cache is the folder in `SWITCHLORA_CACHE`, else `switchlora` in the user's cache folder. Lines and rows without
/// text are skipped.
///
/// `seen` hears of the progress, and once if this process waits for another.
///
/// # Errors
///
/// The errors of [`pack`](super::pack); [`DataError::Cache`] if the cache cannot be written.
pub fn cached(
    data: &[PathBuf],
    field: &str,
    tokenizer: &Tokenizer,
    mut seen: impl FnMut(Seen),
) -> Result<Option<Cached>, DataError> {
    if data.iter().any(|path| is_packed(path)) {
        return Ok(None);
    }
    let found = inputs(data)?;
    let plain = |input: &Input| input.form == Form::Text && input.compression == Compression::None;
    let bytes: u64 = found.iter().map(|input| input.bytes).sum();
    if bytes <= SMALL && found.iter().all(plain) {
        return Ok(None);
    }
    let folder = cache_folder();
    let path = folder
        .join(key(&found, &[&field, &tokenizer.sha256()]))
        .with_extension("tokens");
    let packing = |out: PathBuf| Packing {
        data: data.to_vec(),
        field: field.to_owned(),
        validation: Validation::None,
        on_malformed: OnMalformed::Skip,
        validation_out: out.clone(),
        out,
    };
    let mut made = None;
    if !is_whole(&path, tokenizer) {
        fs::create_dir_all(&folder)
            .map_err(|reason| of_cache(DataError::unwritable(&folder, reason)))?;
        let turn = wait(&path, tokenizer, || seen(Seen::waiting())).map_err(of_cache)?;
        let out = match &turn {
            Turn::Made => None,
            Turn::Lock(_) => Some(shared(&path)),
            Turn::Own => Some(own(&path)),
        };
        if let Some(out) = out {
            let packing = packing(out.clone());
            let work = || pack_alone(&packing, tokenizer, seen);
            let packed = match &turn {
                Turn::Lock(lock) => with_signs(lock, SIGN, work),
                _ => work(),
            };
            let packed = packed.and_then(|packed| {
                make_room(&path, tokenizer)?;
                publish(&out, &path).map_err(|reason| DataError::unwritable(&path, reason))?;
                Ok(packed)
            });
            if packed.is_err() && matches!(turn, Turn::Own) {
                discard(&out);
            }
            made = Some(packed.map_err(of_cache)?);
        }
        sweep(&path);
    }
    Ok(Some(Cached { path, made }))
}

/// How this process comes by an entry.
enum Turn {
    /// Another process has made it.
    Made,
    /// This process makes it, and holds the lock until it is there.
    Lock(Lock),
    /// This process makes it under a name of its own.
    Own,
}

/// Takes the lock of the entry at `path`, or waits until it exists. `waiting` is called once if it has to wait.
fn wait(path: &Path, tokenizer: &Tokenizer, mut waiting: impl FnMut()) -> Result<Turn, DataError> {
    let mut watch: Option<Stopped> = None;
    loop {
        let attempt = lock_of(path).and_then(|lock| Lock::attempt(&lock));
        match attempt {
            Ok(Attempt::Held(lock)) => {
                // Another process may have made it since it was looked for.
                if is_whole(path, tokenizer) {
                    return Ok(Turn::Made);
                }
                if others_work(path) {
                    return Ok(Turn::Own);
                }
                return Ok(Turn::Lock(lock.removed_at_the_end()));
            }
            Ok(Attempt::Missing(_)) => return Ok(Turn::Own),
            Ok(Attempt::Taken(_)) => {
                let watch = watch.get_or_insert_with(|| {
                    waiting();
                    Stopped::of(path)
                });
                if watch.look() {
                    return Ok(Turn::Own);
                }
            }
            // The lock is a file of another user.
            Err(reason) if reason.kind() == ErrorKind::PermissionDenied => return Ok(Turn::Own),
            Err(reason) => return Err(DataError::unwritable(path, reason)),
        }
        thread::sleep(LOOK);
        if is_whole(path, tokenizer) {
            return Ok(Turn::Made);
        }
    }
}

fn is_whole(path: &Path, tokenizer: &Tokenizer) -> bool {
    matches!(look(path, tokenizer), Entry::Whole)
}

/// Removes a damaged entry.
fn make_room(path: &Path, tokenizer: &Tokenizer) -> Result<(), DataError> {
    match look(path, tokenizer) {
        Entry::Damaged(fault) => remove_damaged(path, &fault),
        Entry::Whole | Entry::Absent => Ok(()),
    }
}

/// Whether the half-done work on the entry is a file of another user, which this process cannot continue.
fn others_work(path: &Path) -> bool {
    let denied = |suffix: &str| {
        let opened =
            hidden(&shared(path), suffix).and_then(|file| File::options().write(true).open(file));
        opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    denied("writing") || denied("progress")
}

/// Does `work`, and meanwhile touches the file of the lock `every` so often. A process that is stopped stops touching it.
fn with_signs<T>(lock: &Lock, every: Duration, work: impl FnOnce() -> T) -> T {
    // Dropped at the end of the work, also by a panic.
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let beat = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every) {
                lock.touch();
            }
        };
        // Without the thread others may take this process for stopped, and pack the text too.
        let _ = thread::Builder::new().spawn_scoped(scope, beat);
        let done = work();
        drop(working);
        done
    })
}

/// Watches whether the process that makes an entry shows signs of life: it touches its lock, or it writes.
struct Stopped {
    files: [Option<PathBuf>; 2],
    last: [Option<(u64, SystemTime)>; 2],
    since: Instant,
}

impl Stopped {
    fn of(path: &Path) -> Self {
        Self {
            files: [lock_of(path).ok(), hidden(&shared(path), "writing").ok()],
            last: [None, None],
            since: Instant::now(),
        }
    }

    /// Whether there has been no sign for a long time.
    fn look(&mut self) -> bool {
        let now = self.files.each_ref().map(|file| {
            let metadata = fs::metadata(file.as_ref()?).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        });
        if now != self.last {
            (self.last, self.since) = (now, Instant::now());
        }
        self.since.elapsed() > STOPPED
    }
}

/// Adds to an error of writing that the file is in the cache.
fn of_cache(error: DataError) -> DataError {
    let writing = match &error {
        DataError::Unwritable { .. } => true,
        DataError::Packed(error) => matches!(error.fault, PackedFault::Write { .. }),
        _ => false,
    };
    match writing {
        true => DataError::Cache {
            reason: Box::new(error),
        },
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_without_writing_shows_signs_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entry.tokens");
        let Attempt::Held(lock) = Lock::attempt(&lock_of(&path).unwrap()).unwrap() else {
            panic!("nobody else holds it");
        };
        let mut watch = Stopped::of(&path);
        watch.look();
        let first = watch.last;
        with_signs(&lock, Duration::from_millis(1), || {
            let began = Instant::now();
            while watch.last == first && began.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(1));
                watch.look();
            }
        });
        assert_ne!(watch.last, first);
    }
}
