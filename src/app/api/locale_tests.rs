//! What must not depend on the locale of a PostgreSQL database.

use tokio_postgres::NoTls;

use super::cases::follow_in;
use crate::app::test_place::Place;
use crate::test_servers;

/// Locales: one that knows the letters of English alone, and one in which `I` and `i` are two letters
/// and texts are sorted as in a dictionary.
const LOCALES: [&str; 2] =
    ["LC_COLLATE 'C' LC_CTYPE 'C'", "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LC_COLLATE 'C' LC_CTYPE 'C'"];

#[tokio::test]
async fn texts_are_found_and_sorted_alike_in_every_locale() {
    let (client, connection) =
        tokio_postgres::connect(&test_servers::postgres("postgres"), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    for locale in LOCALES {
        for cases in ["patterns", "text_order"] {
            let name = test_servers::fresh_name();
            let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {locale}");
            client.batch_execute(&create).await.unwrap();
            follow_in(Place::over(&test_servers::postgres(&name)).await, cases).await;
        }
    }
    drop(client);
    connection.await.unwrap().unwrap();
}
