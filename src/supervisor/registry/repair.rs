//! Sound values in place of damaged ones.

use serde_json::Map;

use crate::data::has_nul;

use super::super::host_name;
use super::checks::options_problems;
use super::registration::Registration;

impl Registration {
    /// Removes values that are invalid or cannot be written, and sets the mode that the database has.
    pub(crate) fn make_sound(&mut self) {
        self.make_writable();
        self.options.retain(|name, value| {
            options_problems(&Map::from_iter([(name.clone(), value.clone())])).is_empty()
        });
        if let Some(provision) = &self.provision {
            self.options.insert("dbConnType".into(), provision.mode().nocobase_name().into());
        }
        let sound = self.sound_domains();
        self.set_domains(&sound);
    }

    /// Removes what no statement can write: the character U+0000, and options that contain it.
    pub(crate) fn make_writable(&mut self) {
        for text in std::iter::once(&mut self.name).chain(&mut self.icon) {
            text.retain(|character| character != '\0');
        }
        self.options.retain(|name, value| !name.contains('\0') && !has_nul(value));
    }

    /// Those of its domains that are host names.
    pub(crate) fn sound_domains(&self) -> Vec<String> {
        let all = self.domains();
        host_name::normalize(&all).unwrap_or_else(|_| {
            let each = all.iter().flat_map(|domain| host_name::normalize(std::slice::from_ref(domain)));
            let mut sound = Vec::new();
            each.flatten().for_each(|domain| {
                if !sound.contains(&domain) {
                    sound.push(domain);
                }
            });
            sound
        })
    }
}
