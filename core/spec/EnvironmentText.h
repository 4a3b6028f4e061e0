#pragma once
// The small languages inside an environment's definition: requirement lines (PEP 508), conda's match specifications,
// image names, mounts, Containerfiles. Checked by their grammar, because programs on the target read them. Pure
// functions of text.
#include <string>
#include <string_view>

#include "core/base/Result.h"

namespace trainyard::spec {

/// Without the comment at its end and the blanks around it; empty for an empty line.
[[nodiscard]] std::string requirementWithoutComment(std::string_view line);
/// One requirement, or one of the options that stand for themselves (--pre, --prefer-binary, --no-binary X,
/// --only-binary X). Codes: "environment.requirement", "environment.shell" (a character that only a shell would want),
/// "environment.secret" (a password in an address), "environment.option".
[[nodiscard]] base::Status checkRequirement(const std::string& line);
/// "[channel::]name[ version[ build]]"; "environment.conda_package", "environment.shell".
[[nodiscard]] base::Status checkCondaPackage(const std::string& text);
/// A channel's name or address; "environment.channel", "environment.secret".
[[nodiscard]] base::Status checkCondaChannel(const std::string& text);
/// An http(s) or file address without blanks, quotes or passwords; "environment.address", "environment.secret".
[[nodiscard]] base::Status checkAddress(const std::string& text);
/// "host:5000/team/image:tag@sha256:…"; for apptainer also "docker://…" and the path of an image file.
/// "environment.image".
[[nodiscard]] base::Status checkImageName(const std::string& text, bool apptainer);
/// "/there:/inside[:ro|rw]"; "environment.mount".
[[nodiscard]] base::Status checkMount(const std::string& text);
/// Instructions that are none, a first one that is not FROM, files copied from a context that does not travel. The
/// message names the line. "environment.containerfile".
[[nodiscard]] base::Status checkContainerfile(const std::string& text);
/// Absolute or beginning with "~/", without control characters; "environment.path".
[[nodiscard]] base::Status checkTargetPath(const std::string& text);
/// "file:/path", "file:~/path" or "variable:NAME"; "environment.secret".
[[nodiscard]] base::Status checkSecretPlace(const std::string& text);

}  // namespace trainyard::spec
