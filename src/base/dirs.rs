//! Where things lie: the data folder (kept), the run folder (for this boot), and their parts.
//!
//! ```text
//! $XDG_DATA_HOME/box/                 (override: --root, BOX_DATA)
//!   oci/                              an OCI image layout, see `store`
//!   layers/<diff id>/                 unpacked layers, shared by all images
//!   containers/<id>/                  see `container::record`
//!   names/<name>                      hard links that claim a container's name
//!   volumes/<name>/                   see `volume`
//!   secrets/<name>/                   see `volume::secret`
//!   tmp/<owner>/                      work in progress, see `base::temp`
//! $XDG_RUNTIME_DIR/box/
//!   holder                            the namespace holder's pid, locked by it, see `rootless`
//!   <id>/                             the socket of a running container, see `container::record`
//! ```

use super::env;
use super::error::{Fault, Kind};
use super::fs::ensure_private_dir;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folders of one invocation.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// What is kept: images, containers.
    pub data: PathBuf,
    /// What ends with the boot or the login: sockets, the holder.
    pub run: PathBuf,
}

impl Dirs {
    /// Decide the folders and make them, mode 0700.
    ///
    /// `root` is `--root`; `data` and `run` are the configured folders, if any. Without `XDG_RUNTIME_DIR`, `/run/user/UID` is taken if it is ours, else `/tmp/box-UID`.
    pub fn open(root: Option<&Path>, data: Option<&Path>, run: Option<&Path>) -> Result<Self> {
        let chosen = root.map(Path::to_path_buf).or_else(env::box_data).or_else(|| data.map(Path::to_path_buf));
        let data = match chosen {
            Some(path) => std::path::absolute(&path).with_context(|| format!("cannot use `{}`", path.display()))?,
            None => ::dirs::data_dir().map(|dir| dir.join("box")).ok_or_else(|| {
                Fault::new(Kind::Host, "there is no home folder to keep images and containers in")
                    .hint("set HOME, or choose a folder: export BOX_DATA=/var/tmp/box-$(id -u)")
            })?,
        };
        ensure_private_dir(&data).map_err(|error| {
            Fault::new(Kind::Host, format!("cannot keep images in `{}`", data.display()))
                .hint("choose another folder: export BOX_DATA=/var/tmp/box-$(id -u)")
                .because(error)
        })?;
        let run = match run {
            Some(run) => run.to_path_buf(),
            None => run_parent()?,
        };
        ensure_private_dir(&run).with_context(|| format!("cannot keep run state in `{}`", run.display()))?;
        Ok(Self { data, run })
    }

    /// `oci/`, the OCI image layout.
    pub fn oci(&self) -> PathBuf {
        self.data.join("oci")
    }

    /// `layers/`, the unpacked layers.
    pub fn layers(&self) -> PathBuf {
        self.data.join("layers")
    }

    /// `mapped/`, images' files with other owners.
    pub fn mapped(&self) -> PathBuf {
        self.data.join("mapped")
    }

    /// `containers/`, one folder a container.
    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    /// `containers/<id>`, with room for the name of a file in it.
    pub fn container(&self, id: &str) -> PathBuf {
        // Made for each of a thousand when they are listed.
        let mut path =
            PathBuf::with_capacity(self.data.as_os_str().len() + "/containers//config.json".len() + id.len());
        path.push(&self.data);
        path.push("containers");
        path.push(id);
        path
    }

    /// `names/`, one link a container name.
    pub fn names(&self) -> PathBuf {
        self.data.join("names")
    }

    /// `volumes/`, one folder a volume.
    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// `secrets/`, one folder a secret.
    pub fn secrets(&self) -> PathBuf {
        self.data.join("secrets")
    }

    /// `tmp/`, work in progress.
    pub fn tmp(&self) -> PathBuf {
        self.data.join("tmp")
    }
}

/// The run folder: `$XDG_RUNTIME_DIR/box`, or a fallback that is ours.
fn run_parent() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let ours = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid)
    };
    if let Some(dir) = env::xdg_runtime_dir().filter(|dir| dir.is_absolute() && ours(dir)) {
        return Ok(dir.join("box"));
    }
    let login = PathBuf::from(format!("/run/user/{uid}"));
    if ours(&login) {
        return Ok(login.join("box"));
    }
    if uid == 0 {
        return Ok(PathBuf::from("/run/box"));
    }
    Ok(PathBuf::from(format!("/tmp/box-{uid}")))
}
