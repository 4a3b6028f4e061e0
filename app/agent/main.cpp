#include "core/agent/AgentMain.h"

int main(int argc, char** argv) { return trainyard::agent::agentMain(argc, argv); }
