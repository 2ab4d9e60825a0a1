//! A program in a pseudo-terminal, into which a test types.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::environment::{PATIENCE, TestEnvironment};

/// A terminal; its program ends when this is dropped.
pub struct Terminal {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What was shown and not yet looked at.
    shown: Vec<u8>,
}

impl Terminal {
    /// Starts a command line of the shell in a terminal of this width, with the variables of `command` that the
    /// environment and the caller set. `script` makes the terminal.
    pub fn start(
        environment: &TestEnvironment,
        line: &str,
        columns: u16,
        set: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = environment.command("script");
        let line = format!("stty cols {columns} rows 40; exec {line}");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env("TERM", "xterm").env("SHELL", "/bin/sh").env("NBAPPS_SOCKET", environment.socket());
        set(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length) = stdout.read(&mut chunk) {
                if length == 0 || sender.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, input, output, shown: Vec::new() }
    }

    /// Types keys: `\t`, `\r` for return, `\x03` for Ctrl-C.
    pub fn types(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Waits until this is shown; gives what was shown since the last wait, up to its end, without what moves the
    /// cursor.
    pub fn shows(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let plain = plain(&self.shown);
            if let Some(at) = plain.find(text) {
                let (before, after) = plain.split_at(at + text.len());
                self.shown = after.as_bytes().to_vec();
                return before.to_owned();
            }
            match self.output.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(chunk) => self.shown.extend(chunk),
                Err(error) => panic!("{text:?} is not shown ({error}): {plain}"),
            }
        }
    }

    /// Waits for the program's end; gives what was shown since the last wait, and the exit code.
    pub fn ended(mut self) -> (String, Option<i32>) {
        let begun = Instant::now();
        while let Ok(chunk) = self.output.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            self.shown.extend(chunk);
        }
        let code = self.child.wait().unwrap().code();
        (plain(&self.shown), code)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was shown, without the sequences that move the cursor or change colours.
fn plain(shown: &[u8]) -> String {
    let sequences =
        r"\x1b\[[0-9;?<=>]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]";
    let text = String::from_utf8_lossy(shown);
    regex::Regex::new(sequences).unwrap().replace_all(&text, "").replace("\r\n", "\n")
}
