//! Inventories of `nbapps apply`: names for sets of applications that documents describe together.

/// The longest name of an inventory, in bytes.
pub const MAX_INVENTORY_LENGTH: usize = 63;

/// A text that is not the name of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of an inventory: a name is 1 to {max} letters, digits and . _ -, and begins with a letter \
     or digit",
    max = MAX_INVENTORY_LENGTH
)]
pub struct InvalidInventory(String);

/// Checks the name of an inventory.
///
/// # Errors
/// [`InvalidInventory`], with the beginning of the text.
pub fn check_inventory(name: &str) -> Result<(), InvalidInventory> {
    let is_name = (1..=MAX_INVENTORY_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if is_name { Ok(()) } else { Err(InvalidInventory(name.chars().take(MAX_INVENTORY_LENGTH).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word() {
        for name in ["default", "team-a", "2026", "a.b_c", &"x".repeat(MAX_INVENTORY_LENGTH)] {
            assert_eq!(check_inventory(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a b", "a/b", "ü", "a\0", &"x".repeat(MAX_INVENTORY_LENGTH + 1)] {
            assert!(check_inventory(name).is_err(), "{name:?}");
        }
    }
}
