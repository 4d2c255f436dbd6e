//! A pseudo-terminal with the program in it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What standard input of the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Terminal,
    Null,
    Closed,
}

/// How a program is started in a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub input: Input,
    /// Whether the terminal controls the program: then the system tells it that the terminal is gone.
    pub control: bool,
    /// Rows and columns.
    pub size: [u16; 2],
}

impl Default for Start {
    fn default() -> Self {
        Self {
            input: Input::Terminal,
            control: true,
            size: [40, 120],
        }
    }
}

/// A terminal that shows what is written to it.
pub struct Terminal {
    master: File,
    /// Keeps its mode readable after the program has ended.
    slave: Option<File>,
    screen: Arc<Mutex<vt100::Parser>>,
    closing: Arc<AtomicBool>,
    reading: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program in a terminal of its own.
    pub fn start(mut command: Command, start: Start) -> (Self, Child) {
        let (master, slave) = pair();
        resize(&slave, start.size);
        let copy = || Stdio::from(slave.try_clone().unwrap());
        let stdin = match start.input {
            Input::Terminal => copy(),
            Input::Null | Input::Closed => Stdio::null(),
        };
        command.env("TERM", "xterm-256color");
        command.stdin(stdin).stdout(copy()).stderr(copy());
        let closed = start.input == Input::Closed;
        // SAFETY: only calls that may be made between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::setsid();
                if start.control {
                    libc::ioctl(libc::STDOUT_FILENO, libc::TIOCSCTTY, 0);
                }
                if closed {
                    libc::close(libc::STDIN_FILENO);
                }
                Ok(())
            })
        };
        let child = command.spawn().unwrap();
        let [rows, columns] = [start.size[0].max(24), start.size[1].max(80)];
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let closing = Arc::new(AtomicBool::new(false));
        let reading = std::thread::spawn({
            let (screen, closing, mut master) =
                (screen.clone(), closing.clone(), master.try_clone().unwrap());
            move || {
                let mut bytes = [0; 65536];
                while !closing.load(Ordering::SeqCst) {
                    let mut wanted = libc::pollfd {
                        fd: master.as_raw_fd(),
                        events: libc::POLLIN,
                        revents: 0,
                    };
                    // Never blocked in a read, which would keep the terminal open.
                    // SAFETY: the call gets one structure, which lives on this stack.
                    if unsafe { libc::poll(&mut wanted, 1, 20) } == 1 {
                        match master.read(&mut bytes) {
                            Ok(read @ 1..) => screen.lock().unwrap().process(&bytes[..read]),
                            _ => return,
                        }
                    }
                }
            }
        });
        let terminal = Self {
            master,
            slave: Some(slave),
            screen,
            closing,
            reading: Some(reading),
        };
        (terminal, child)
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// The rows of the screen.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Gives the terminal another size. What is shown stays as large as it was: vt100 panics on very small screens.
    pub fn resize(&self, size: [u16; 2]) {
        resize(&self.master, size);
    }

    /// Whether the terminal is as a shell left it: lines and echo, and not another screen.
    pub fn is_restored(&self) -> bool {
        let Some(slave) = &self.slave else {
            return true;
        };
        // SAFETY: the call writes into the structure, which lives on this stack.
        let mode = unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(slave.as_raw_fd(), &mut mode), 0);
            mode.c_lflag
        };
        let screen = self.screen.lock().unwrap();
        let (other, hidden) = (
            screen.screen().alternate_screen(),
            screen.screen().hide_cursor(),
        );
        let wanted = libc::ICANON | libc::ECHO | libc::ISIG;
        mode & wanted == wanted && !other && !hidden
    }

    /// Closes the window.
    pub fn close(mut self) {
        self.slave = None;
        self.end_reading();
    }

    fn end_reading(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end_reading();
    }
}

/// Both ends of a new terminal. No other process that is started meanwhile gets them.
fn pair() -> (File, File) {
    // SAFETY: numbers and a buffer of this stack; the descriptor is owned by what is made from it.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let master = libc::posix_openpt(flags);
        assert!(master >= 0 && libc::grantpt(master) == 0 && libc::unlockpt(master) == 0);
        let mut name = [0; 128];
        assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), name.len()), 0);
        let slave = libc::open(name.as_ptr(), flags);
        assert!(slave >= 0);
        let own = |descriptor| File::from(OwnedFd::from_raw_fd(descriptor));
        (own(master), own(slave))
    }
}

fn resize(terminal: &File, [ws_row, ws_col]: [u16; 2]) {
    let size = libc::winsize {
        ws_row,
        ws_col,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the call reads the structure, which lives on this stack.
    unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) };
}
