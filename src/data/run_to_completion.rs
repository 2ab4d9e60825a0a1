//! Work that goes to its end, whether anybody waits for it or not.

use tracing::Instrument;

use super::DataError;
use crate::database::DatabaseError;

/// Does what changes both a database and what memory knows of it. Once begun it goes to its end, also
/// when nobody waits for it any more (a client that hangs up, a request that took too long): memory
/// must not be left with what the database knows better, nor the database with half of it.
///
/// # Errors
/// Those of the work; [`DatabaseError::Failed`] where the host ends before it does.
pub async fn run_to_completion<T: Send + 'static, E: From<DataError> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => {
            let sentence = "the host is shutting down: whether this was done shows when it runs again";
            Err(DataError::from(DatabaseError::Failed(sentence.to_owned())).into())
        }
    }
}
