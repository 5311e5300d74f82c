# marks: 7
# agent: own-agent
# refused: the agent is a script, and this kernel refuses to have its execution watched
# an agent that a script is, run by what its first line names
bash -c 'STEP=agent m; env own-agent'
(STEP=agent m)
