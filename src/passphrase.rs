//! The passphrase of an instance. It comes from `--passphrase-file`, a systemd credential, the data folder, or a prompt, in this order. A
//! new instance gets a random one instead of the prompt.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use countersign_ca::key::{read_credential, read_private};
use countersign_ca::{Entropy, Passphrase, SystemEntropy};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::folder::DataFolder;
use crate::output;

/// The largest passphrase file, in bytes.
const MAX: u64 = 4096;

/// A passphrase with less characters is warned of.
const SHORT: usize = 12;

/// The name of the systemd credential.
const CREDENTIAL: &str = "countersign-passphrase";

/// The passphrase of an instance that exists. If no file has it, the user types it on the terminal.
pub fn existing(folder: &DataFolder, file: Option<&Path>) -> Result<Passphrase, Failure> {
    match source(folder, file) {
        Some(path) => read(&path),
        None => prompt("passphrase: "),
    }
}

/// Whether the command line names a file with the passphrase, or such a file is in one of the usual places.
pub fn is_at_hand(folder: &DataFolder, file: Option<&Path>) -> bool {
    source(folder, file).is_some()
}

/// The passphrase of a new instance.
pub struct NewPassphrase {
    /// The passphrase.
    pub passphrase: Passphrase,
    /// The file that the passphrase was written to, if it was generated.
    pub generated: Option<PathBuf>,
}

/// The passphrase for a new instance. If none is given, a random one is generated and written to the data folder.
pub fn new(folder: &DataFolder, file: Option<&Path>) -> Result<NewPassphrase, Failure> {
    if let Some(path) = source(folder, file) {
        return Ok(NewPassphrase { passphrase: read(&path)?, generated: None });
    }
    let mut random = Zeroizing::new([0; 32]);
    SystemEntropy::default().fill(random.as_mut_slice())?;
    let text =
        Zeroizing::new(data_encoding::BASE32_NOPAD.encode(random.as_slice()).to_ascii_lowercase());
    let path = folder.passphrase();
    write_private(&path, format!("{}\n", text.as_str()).as_bytes())?;
    Ok(NewPassphrase { passphrase: Passphrase::new(&text)?, generated: Some(path) })
}

/// The passphrase that keys are to have from now on.
pub struct ChangedPassphrase {
    /// The passphrase.
    pub passphrase: Passphrase,
    /// The text of the passphrase, without a newline.
    pub text: Zeroizing<String>,
}

/// The passphrase that keys are to have from now on: from a file, or else typed twice on a terminal.
pub fn changed(file: Option<&Path>) -> Result<ChangedPassphrase, Failure> {
    let text = match file {
        Some(path) => read_private(path, MAX)?,
        None => {
            if !std::io::stdin().is_terminal() {
                return Err(Failure::input(
                    "the new passphrase is missing: name its file with `--new-passphrase-file`",
                ));
            }
            let typed = Zeroizing::new(rpassword::prompt_password("new passphrase: ")?);
            let again = Zeroizing::new(rpassword::prompt_password("new passphrase, again: ")?);
            if *typed != *again {
                return Err(Failure::input("the two passphrases differ"));
            }
            typed
        }
    };
    let text = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if text.chars().count() < SHORT {
        output::warning(&format!(
            "the new passphrase has less than {SHORT} characters: whoever has a copy of the keys can try all of them"
        ));
    }
    Ok(ChangedPassphrase { passphrase: Passphrase::new(&text)?, text })
}

/// Whether the passphrase is read from the data folder's own file.
pub fn is_kept_in(folder: &DataFolder, file: Option<&Path>) -> bool {
    source(folder, file).is_some_and(|path| path == folder.passphrase())
}

/// Writes a new file that only its owner can read. A file of this name is refused.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", path.display()));
    let mut file = create_private(path)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)
}

/// Makes a new, empty file that only its owner can read. A file of this name is refused.
pub fn create_private(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |e: std::io::Error| Failure::unavailable(format!("`{}`: {e}", path.display()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)
}

/// The file with the passphrase; `None` if the command line names none, and neither the credential nor the data folder's file exists.
fn source(folder: &DataFolder, file: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = file {
        return Some(path.to_owned());
    }
    credentials()
        .map(|folder| folder.join(CREDENTIAL))
        .filter(|path| path.exists())
        .or_else(|| Some(folder.passphrase()).filter(|path| path.exists()))
}

/// The folder in which systemd puts credentials.
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute())
}

fn read(path: &Path) -> Result<Passphrase, Failure> {
    let text = match credentials().is_some_and(|folder| path.parent() == Some(&folder)) {
        true => read_credential(path, MAX)?,
        false => read_private(path, MAX)?,
    };
    Passphrase::new(&text)
        .map_err(|e| Failure { message: format!("`{}`: {e}", path.display()), ..Failure::from(e) })
}

fn prompt(text: &str) -> Result<Passphrase, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::input(
            "the passphrase is missing: name its file with `--passphrase-file` or COUNTERSIGN_PASSPHRASE_FILE",
        ));
    }
    let typed = Zeroizing::new(rpassword::prompt_password(text)?);
    Ok(Passphrase::new(&typed)?)
}
