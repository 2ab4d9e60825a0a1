//! An application for a test, on the engine that the test names.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::database::{Database, Location};
use crate::test_servers::TestEngine;

/// An application with a database of its own.
pub(super) struct Place {
    pub(super) source: DataSource,
    folder: tempfile::TempDir,
}

pub(super) const PASSWORD: &str = "admin123";

pub(super) fn wanted() -> Install {
    Install {
        title: "Sales".into(),
        root: NewRootUser {
            email: "admin@nocobase.com".into(),
            username: "nocobase".into(),
            nickname: "Super Admin".into(),
            password: PASSWORD.into(),
        },
    }
}

impl Place {
    pub(super) async fn empty(engine: TestEngine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = || format!("sqlite:{}", folder.path().join("crm.sqlite").display());
        let at = engine.fresh_database().unwrap_or_else(file);
        let database = Database::create(&Location::parse(&at).unwrap()).await.unwrap();
        Self { source: DataSource::new(database), folder }
    }

    pub(super) async fn installed(engine: TestEngine) -> Self {
        let place = Self::empty(engine).await;
        install(&place.source, &wanted()).await.unwrap();
        place
    }

    /// Over an empty database that is there already.
    pub(super) async fn over(url: &str) -> Self {
        let database = Database::open(&Location::parse(url).unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = Self { source: DataSource::new(database), folder };
        install(&place.source, &wanted()).await.unwrap();
        place
    }

    pub(super) fn location(&self) -> Location {
        self.source.database().location()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) async fn open(&self) -> Result<Arc<App>, AppError> {
        self.open_with(b"secret", vec![]).await
    }

    pub(super) async fn open_with(
        &self,
        secret: &[u8],
        resources: Vec<resources::Resource>,
    ) -> Result<Arc<App>, AppError> {
        let source = self.source.clone();
        let (name, jwt_secret) = ("crm".into(), secret.into());
        App::open(AppOptions { name, jwt_secret, source, resources, plugins: vec![] }).await
    }
}
