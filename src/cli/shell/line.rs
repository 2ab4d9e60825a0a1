//! The words of a line: as a shell reads them, up to the cursor for completion, and whether a secret is among them.

/// Options that speak of secrets and have none as their value.
const HARMLESS_OPTIONS: &[&str] = &["--ask-db-password", "--rotate-secret"];

/// What names a secret.
const SECRETS: &[&str] = &["password", "passwd", "secret", "token", "authorization"];

/// The words of a text; `None` when it goes on: a quote is open, or it ends in a backslash.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    shlex::split(&joined(text))
}

/// The text with lines joined that end in a backslash. [`shlex`] takes such a backslash between words for an empty one.
fn joined(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let (mut quote, mut begins_word, mut in_comment) = (None, true, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        in_comment = c != '\n' && (in_comment || (c == '#' && quote.is_none() && begins_word));
        begins_word = quote.is_none() && matches!(c, ' ' | '\t' | '\n');
        match (quote, c) {
            _ if in_comment => {}
            (None | Some('"'), '\\') => {
                match chars.next() {
                    Some('\n') => begins_word = joined.is_empty() || joined.ends_with([' ', '\t', '\n']),
                    escaped => joined.extend(std::iter::once(c).chain(escaped)),
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        joined.push(c);
    }
    joined
}

/// The words of a line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BeforeCursor {
    /// The words; the last is the one at the cursor, and may be empty.
    pub(super) words: Vec<String>,
    /// Where the last one begins, in bytes.
    pub(super) start: usize,
}

impl BeforeCursor {
    /// The words of the text before the cursor; `None` in a comment.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (mut start, mut quote, mut is_escaped) = (None, None, false);
        for (at, c) in text.char_indices() {
            if is_escaped {
                is_escaped = false;
                continue;
            }
            match (quote, c) {
                (None, ' ' | '\t' | '\n') => start = None,
                (None, '#') if start.is_none() => return None,
                (None, c) => {
                    start.get_or_insert(at);
                    is_escaped = c == '\\';
                    quote = matches!(c, '\'' | '"').then_some(c);
                }
                (Some('"'), '\\') => is_escaped = true,
                (Some(open), c) if open == c => quote = None,
                (Some(_), _) => {}
            }
        }
        let start = start.unwrap_or(text.len());
        let (before, at_cursor) = text.split_at(start);
        let mut at_cursor = at_cursor.to_owned();
        if is_escaped {
            at_cursor.pop();
        }
        at_cursor.extend(quote);
        let mut words = words(before)?;
        words.push(self::words(&at_cursor)?.into_iter().next().unwrap_or_default());
        Some(Self { words, start })
    }
}

/// The words without the word nbapps before them, which a line may have that was copied.
pub(super) fn without_program(mut words: Vec<String>) -> Vec<String> {
    if words.first().is_some_and(|word| word == "nbapps") {
        words.remove(0);
    }
    words
}

/// Whether a secret is among the words of a line: a password in a URL, or what an option or a key says is one.
pub(super) fn has_secret(words: &[String]) -> bool {
    words.iter().enumerate().any(|(number, word)| {
        has_password_in_url(word) || says_secret(word, words.get(number + 1).map(String::as_str))
    })
}

fn names_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    SECRETS.iter().any(|secret| text.contains(secret))
}

/// Whether a word is an option or a key of a secret, which is in it or in the next one.
fn says_secret(word: &str, next: Option<&str>) -> bool {
    let Some(option) = word.strip_prefix("--") else {
        // Of a JSON text, a header or the parameters of a URL.
        return names_secret(word) && word.contains([':', '=', '"']);
    };
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    let is_secret_itself = names_secret(name)
        && !name.ends_with("-file")
        && !HARMLESS_OPTIONS.iter().any(|harmless| harmless.strip_prefix("--") == Some(name));
    match value {
        Some(value) => is_secret_itself || (!name.ends_with("-file") && says_secret(value, None)),
        None => is_secret_itself && next.is_some_and(|next| !next.starts_with('-')),
    }
}

/// Whether there is a URL with a password: `scheme://user:password@host`.
fn has_password_in_url(word: &str) -> bool {
    word.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // A password that was not encoded may have a slash in it.
        let user = authority.rsplit_once('@').or_else(|| rest.rsplit_once('@'));
        user.is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_in_a_shell() {
        for (text, expected) in [
            ("", &[][..]),
            ("  # nothing", &[]),
            ("create crm --name \"Customer care\" # it's new", &["create", "crm", "--name", "Customer care"]),
            (r#"create 'a b'\ c "\"d\"" "#, &["create", "a b c", "\"d\""]),
            ("create \\\n  crm", &["create", "crm"]),
            ("create \\\n# crm", &["create"]),
            ("create c\\\nrm # it's \\\n--start", &["create", "crm", "--start"]),
            ("create \"a\\\nb\" 'c\\\nd'", &["create", "ab", "c\\\nd"]),
            ("create --name 'two\nlines'", &["create", "--name", "two\nlines"]),
            ("list '' a#b", &["list", "", "a#b"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text:?}");
        }
        for open in ["create 'a", "create \"a", "create a \\", "create \"a' # b"] {
            assert_eq!(words(open), None, "{open:?}");
        }
    }

    #[test]
    fn the_word_at_the_cursor_is_completed() {
        for (text, words, start) in [
            ("", &[""][..], 0),
            ("st", &["st"], 0),
            ("start ", &["start", ""], 6),
            ("start cr", &["start", "cr"], 6),
            ("  start  cr", &["start", "cr"], 9),
            ("create --name 'a b", &["create", "--name", "a b"], 14),
            ("create --name \"a \\\"", &["create", "--name", "a \""], 14),
            ("create --name a\\ b", &["create", "--name", "a b"], 14),
            ("create a\\", &["create", "a"], 7),
            ("list --state=r", &["list", "--state=r"], 5),
            ("update crm --name é", &["update", "crm", "--name", "é"], 18),
        ] {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(BeforeCursor::of(text), Some(BeforeCursor { words, start }), "{text:?}");
        }
        assert_eq!(BeforeCursor::of("start # cr"), None);
    }

    #[test]
    fn the_word_nbapps_is_left_out() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(without_program(words("nbapps start crm")), words("start crm"));
        assert_eq!(without_program(words("start nbapps")), words("start nbapps"));
    }

    #[test]
    fn secrets_are_recognized() {
        for (line, secret) in [
            ("create hr --db connection --db-url postgres://hr:s3cret@db/hr", true),
            ("create hr --db-url=postgres://hr:s3/cr@db/hr", true),
            ("create hr --db-url postgres://hr@db:5432/hr", false),
            ("create hr --db-url 'postgres://db/hr?user=a&password=b'", true),
            ("create hr --db-password-file ./password", false),
            ("create hr --db-password-file=./password", false),
            ("create hr --ask-db-password crm", false),
            ("update crm --rotate-secret", false),
            ("create hr --password x", true),
            ("create hr --admin-password=x", true),
            ("create hr --password", false),
            ("user passwd crm ada", false),
            ("api crm POST /auth:signIn -d '{\"account\":\"a\",\"Password\":\"b\"}'", true),
            ("api crm GET /posts:list -H 'Authorization: Bearer x'", true),
            ("context add prod ssh://ops@server:2222", false),
            ("create crm --name 'The secret garden'", false),
        ] {
            assert_eq!(has_secret(&words(line).unwrap()), secret, "{line}");
        }
    }
}
