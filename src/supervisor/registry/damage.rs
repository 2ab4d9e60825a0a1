//! What is wrong with the rows of an application, and what the operator can do about it.

use crate::protocol::AppId;

/// What of an application's registration cannot be read or used, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// In its row of `applications`. An update repairs it: it writes the row anew.
    pub(crate) row: Vec<String>,
    /// In what the host created for it. Only a backup repairs it: nobody else knows.
    pub(crate) provision: Vec<String>,
    /// In its JWT secret. A new one repairs it.
    pub(crate) secret: Vec<String>,
    /// The name in its rows, if it is not a valid ID: the application has an ID made from it.
    pub(crate) name: Option<String>,
    /// Whether it has no row in `applications`.
    pub(crate) is_unregistered: bool,
}

impl Damage {
    pub(crate) fn is_none(&self) -> bool {
        self.sentences().next().is_none()
    }

    fn sentences(&self) -> impl Iterator<Item = &String> {
        self.row.iter().chain(&self.provision).chain(&self.secret)
    }

    /// Returns what is wrong and which command repairs it; `None` without damage.
    pub(crate) fn reason(&self, id: &AppId) -> Option<String> {
        let sentences: Vec<_> = self.sentences().map(String::as_str).collect();
        if sentences.is_empty() {
            return None;
        }
        let repair = if self.provision.is_empty() {
            format!(
                "nbapps update {id} repairs it with what could be read, as with --name NAME; \
                 nbapps delete {id} deletes it"
            )
        } else {
            format!("restore the row from a backup to run it again; nbapps delete {id} deletes it")
        };
        Some(format!("its entry in the registry is damaged: {}; {repair}", sentences.join("; ")))
    }

    /// Returns the same for a deleted application.
    pub(crate) fn reason_of_deleted(&self, id: &AppId) -> Option<String> {
        let sentences: Vec<_> = self.sentences().map(String::as_str).collect();
        (!sentences.is_empty()).then(|| {
            format!(
                "its entry in the registry is damaged: {}; nbapps undelete {id} repairs it with what could be read; \
                 nbapps delete {id} --purge removes it with its data, and with --keep-data its entry alone",
                sentences.join("; ")
            )
        })
    }

    /// The damage that remains once the rows are written anew.
    pub(crate) fn after_repair(&self) -> Self {
        Self { provision: self.provision.clone(), ..Self::default() }
    }
}
