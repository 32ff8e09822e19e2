"""Motion embeddings on the Hugging Face hub: where they are fetched from and put."""

from pathlib import Path

from ditflow.errors import DitflowError, reason_of
from ditflow.runs.folder import EMBEDDING
from ditflow.utils.shipped import is_hub_name
from ditflow.version import __version__


def found_here(named: Path | str) -> Path:
    """The file of an embedding that is here, by its own path or that of the folder it is in.

    Raises:
        DitflowError: it is not there.
    """
    path = Path(named).expanduser()
    if path.is_dir():
        path = path / EMBEDDING
    if not path.is_file():
        raise DitflowError(
            f"embedding={path} does not exist; give the motion.safetensors of a finished fit."
        )
    return path


def embedding_file(
    named: Path | str, revision: str | None = None, token: str | None = None
) -> Path:
    """The file of an embedding; only a hub name that is no path here may download.

    Args:
        named: a file, a folder that holds a `motion.safetensors`, or `user/name` on the hub, also
            `user/name@revision`. What is here goes first.
        revision: branch, tag or commit on the hub.
        token: of the hub, by default the one logged in with.

    Returns:
        the file, or the path as it was given where it is no hub's.

    Raises:
        DitflowError: the hub does not have it, or cannot be reached.
    """
    path = Path(named).expanduser()
    if path.exists() or not is_hub_name(named):
        return path
    repo_id, _, own_revision = str(named).partition("@")
    return _fetch(repo_id, revision or own_revision or None, token)


def _fetch(repo_id: str, revision: str | None, token: str | None) -> Path:
    from huggingface_hub import hf_hub_download  # only where the hub is named
    from huggingface_hub.errors import HTTPError

    try:
        path = hf_hub_download(
            repo_id,
            EMBEDDING,
            revision=revision,
            token=token,
            library_name="ditflow",
            library_version=__version__,
        )
    except (OSError, ValueError, HTTPError) as error:
        raise _failed("embedding", repo_id, error) from error
    return Path(path)


def publish(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str = "Add a motion embedding",
) -> str:
    """Put a folder's files into a model repository, made if it is not there, in one commit.

    Args:
        folder: of what is published, nothing else in it.
        repo_id: `user/name`.
        private: of a new repository; None is the account's default. One that is there and public
            is refused if this is true.
        token: of the hub, by default the one logged in with.
        message: of the commit.

    Returns:
        the repository's address.

    Raises:
        DitflowError: the name is none, the repository is not as private as was asked, the hub
            cannot be reached or does not let this user write.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HTTPError

    if not is_hub_name(repo_id) or "@" in repo_id:
        raise DitflowError(f"repo_id={repo_id} is no repository's name; give user/name.")
    api = HfApi(token=token, library_name="ditflow", library_version=__version__)
    try:
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        # Of one that was there already, it has changed nothing.
        if private and not api.repo_info(url.repo_id).private:
            raise DitflowError(
                f"private: {url.repo_id} is there already, and public, so that nothing was "
                "published; make it private in its settings on the hub, or give another name."
            )
        files = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
        api.create_commit(url.repo_id, files, commit_message=message)
    except DitflowError:
        raise
    except (OSError, ValueError, HTTPError) as error:
        raise _failed("repo_id", repo_id, error) from error
    return str(url)


def _failed(option: str, repo_id: str, error: Exception) -> DitflowError:
    """What the hub's error means, in one line with a remedy."""
    from huggingface_hub import errors, is_offline_mode

    status = getattr(getattr(error, "response", None), "status_code", None)
    login = "log in with `hf auth login`, or set HF_TOKEN"
    match error:
        case errors.GatedRepoError():
            said = f"asks for its conditions to be accepted; do so on its page, and {login}"
        case errors.RepositoryNotFoundError() if option == "embedding":
            said = (
                "is neither a file or folder here nor a repository of the hub; check the name, "
                f"and if it is private, {login}"
            )
        case errors.RevisionNotFoundError():
            said = "has no such revision; give one of its branches, tags or commits"
        case _ if is_offline_mode():
            said = "is not kept here, and HF_HUB_OFFLINE is set; unset it, or give a file"
            if option == "repo_id":
                said = "cannot be reached while HF_HUB_OFFLINE is set; unset it"
        case errors.LocalEntryNotFoundError():
            said = (
                "is neither a file or folder here nor kept from an earlier download, and the hub "
                "cannot be reached; check the network, or give a file"
            )
        case errors.EntryNotFoundError():
            said = f"has no {EMBEDDING}; give a repository that `ditflow push` made"
        case errors.HFValidationError():
            said = "is no repository's name; give user/name"
        case _ if status in (401, 403, 404):
            verb = "read" if option == "embedding" else "written to"
            said = f"may not be {verb} by this user; {login}"
        case _:
            said = f"could not be had from the hub ({reason_of(error)}); try again later"
            if option == "repo_id":
                said = f"could not be written to ({reason_of(error)}); nothing was published"
    return DitflowError(f"{option}={repo_id} {said}.")
