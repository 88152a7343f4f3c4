//! Trust is kept by path, and taken back.

use super::*;
use crate::store::trust::TrustedPath;

fn trusted(path: &str, digest: &str) -> TrustedPath {
    TrustedPath { path: path.into(), digest: digest.into(), at: 7 }
}

#[tokio::test]
async fn trust_is_given_renewed_and_taken_back() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().to_owned());
    assert_eq!(store.trusted("/w").await.unwrap(), None);
    store.trust(trusted("/w", "one")).await.unwrap();
    store.trust(trusted("/a", "two")).await.unwrap();
    store.trust(trusted("/w", "three")).await.unwrap();
    assert_eq!(store.trusted("/w").await.unwrap(), Some(trusted("/w", "three")));
    assert_eq!(store.all_trusted().await.unwrap(), [trusted("/a", "two"), trusted("/w", "three")]);
    assert!(store.distrust("/w").await.unwrap());
    assert!(!store.distrust("/w").await.unwrap());
    assert_eq!(store.trusted("/w").await.unwrap(), None);
}
