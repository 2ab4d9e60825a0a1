//! Runs work to completion, even if its caller stops waiting.

use tracing::Instrument;

use super::DataError;
use crate::database::DatabaseError;

/// Runs work that changes both the database and memory. Once started, it completes even if the caller is
/// dropped (a client that disconnects, a request that times out), so that memory and the database cannot
/// disagree.
///
/// # Errors
/// The error of the work; [`DatabaseError::Failed`] if the host shuts down before it completes.
pub async fn run_to_completion<T: Send + 'static, E: From<DataError> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => {
            let sentence =
                "the host is shutting down and may not have completed this: check once it runs again";
            Err(DataError::from(DatabaseError::Failed(sentence.to_owned())).into())
        }
    }
}
