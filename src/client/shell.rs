//! Writes words of a command line so that a shell reads them as they are.

/// The word, quoted for a shell where that is needed: in single quotes, and with `$'…'` where it has control
/// characters or is not UTF-8.
#[must_use]
pub fn word(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+:,./-".contains(byte);
    let text = String::from_utf8_lossy(bytes);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return text.into_owned();
    }
    let is_printable = std::str::from_utf8(bytes).is_ok() && !text.chars().any(char::is_control);
    if is_printable {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let escaped = bytes.iter().fold(String::new(), |escaped, byte| match byte {
        b'\'' | b'\\' => format!("{escaped}\\{}", char::from(*byte)),
        b' '..=b'~' => format!("{escaped}{}", char::from(*byte)),
        other => format!("{escaped}\\x{other:02x}"),
    });
    format!("$'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        for (bytes, written) in [
            (&b"/run/nbapps/control.sock"[..], "/run/nbapps/control.sock"),
            (b"/home/ada l/s", "'/home/ada l/s'"),
            (b"it's", "'it'\\''s'"),
            ("/é".as_bytes(), "'/é'"),
            (b"~/$x`", "'~/$x`'"),
            (b"", "''"),
            (b"a\nb'\xff\\", "$'a\\x0ab\\'\\xff\\\\'"),
        ] {
            assert_eq!(word(bytes), written);
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {written}")])
                .output()
                .unwrap();
            assert_eq!(output.stdout, bytes, "{written}");
        }
    }
}
