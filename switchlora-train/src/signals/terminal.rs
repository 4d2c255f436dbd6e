//! A terminal that goes away: its window is closed, or the connection to it is lost.
//!
//! From then on each write to it fails, and each read says that the input has ended. Libraries do not expect that: they
//! panic while they print, which ends the process if it happens in a panic, or read again without end. So the terminal's
//! descriptors are pointed elsewhere: what is written is gone, and what is read has not come yet.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The descriptors that are looked at: those of a terminal are opened early.
const DESCRIPTORS: RawFd = 1024;

static GONE: AtomicBool = AtomicBool::new(false);

/// Whether the terminal is gone.
pub fn is_gone() -> bool {
    GONE.load(Ordering::SeqCst)
}

/// Waits, on a thread of its own, until the terminal on standard output is gone. Then points its descriptors elsewhere and
/// sends this process SIGHUP.
pub fn watch() -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    let terminal = io::stdout().as_fd().try_clone_to_owned()?;
    let device = device(terminal.as_raw_fd());
    let thread = thread::Builder::new().name("terminal".to_owned());
    thread.spawn(move || {
        if hung_up(&terminal) {
            GONE.store(true, Ordering::SeqCst);
            if let Some(device) = device {
                let _ = detach(device);
            }
            // SAFETY: the call takes numbers only.
            unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
        }
    })?;
    Ok(())
}

/// Waits until the terminal hangs up. Returns false if the system cannot say.
fn hung_up(terminal: &OwnedFd) -> bool {
    loop {
        let mut wanted = libc::pollfd {
            fd: terminal.as_raw_fd(),
            events: 0,
            revents: 0,
        };
        // SAFETY: the call gets one structure, which lives on this stack.
        let count = unsafe { libc::poll(&mut wanted, 1, -1) };
        let interrupted = io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        match count {
            -1 if interrupted => {}
            1.. => return wanted.revents & (libc::POLLHUP | libc::POLLERR) != 0,
            _ => return false,
        }
    }
}

/// Points the descriptors of the terminal elsewhere: output to `/dev/null`, input to a pipe that is never written to.
fn detach(device: libc::dev_t) -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    let (nothing, never_written) = io::pipe()?;
    // A read from it returns at once.
    // SAFETY: the call takes numbers only.
    unsafe { libc::fcntl(nothing.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    // A library that reads keys may have opened the terminal by its other name.
    let devices = [
        Some(device),
        device_of(|found| {
            // SAFETY: the name ends with a zero.
            unsafe { libc::stat(c"/dev/tty".as_ptr(), found) }
        }),
    ];
    for descriptor in 0..DESCRIPTORS {
        let of = self::device(descriptor);
        if of.is_some() && devices.contains(&of) {
            let output = [libc::STDOUT_FILENO, libc::STDERR_FILENO].contains(&descriptor);
            let to = match output {
                true => null.as_raw_fd(),
                false => nothing.as_raw_fd(),
            };
            // SAFETY: whoever owns the descriptor keeps it; it leads elsewhere.
            unsafe { libc::dup2(to, descriptor) };
        }
    }
    // Its end would be the end of the input.
    std::mem::forget(never_written);
    Ok(())
}

/// The number of a descriptor's device; `None` if it is not open, or not a device.
fn device(descriptor: RawFd) -> Option<libc::dev_t> {
    // SAFETY: the call checks the descriptor.
    device_of(|found| unsafe { libc::fstat(descriptor, found) })
}

/// The number of the device that `look` describes; `None` if it returns an error or describes something else.
fn device_of(look: impl FnOnce(*mut libc::stat) -> libc::c_int) -> Option<libc::dev_t> {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    if look(found.as_mut_ptr()) != 0 {
        return None;
    }
    // SAFETY: without an error the structure is filled in.
    let found = unsafe { found.assume_init() };
    (found.st_mode & libc::S_IFMT == libc::S_IFCHR).then_some(found.st_rdev)
}
