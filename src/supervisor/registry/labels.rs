//! The labels in a registration's options.

use serde_json::{Value, json};

use crate::protocol::{InvalidLabel, LabelChanges, Labels, check_label, check_label_key, check_labels};

use super::registration::Registration;

impl Registration {
    /// Its labels. An invalid one counts as not set.
    pub(crate) fn labels(&self) -> Labels {
        let all = self.options.get("labels").and_then(Value::as_object).into_iter().flatten();
        let sound = all.filter_map(|(key, value)| {
            let value = value.as_str()?;
            check_label(key, value).ok()?;
            Some((key.clone(), value.to_owned()))
        });
        sound.collect()
    }

    /// Sets or removes some of its labels. If one is invalid, none is changed.
    pub(crate) fn change_labels(&mut self, changes: &LabelChanges) -> Result<(), InvalidLabel> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut labels = self.labels();
        for (key, value) in changes {
            match value {
                Some(value) => labels.insert(key.clone(), value.clone()),
                None => {
                    check_label_key(key)?;
                    labels.remove(key)
                }
            };
        }
        check_labels(&labels)?;
        if labels.is_empty() {
            self.options.remove("labels");
        } else {
            self.options.insert("labels".into(), json!(labels));
        }
        Ok(())
    }
}
