# marks: 6
step a '( m; ( m; ( m; ( m; true ); true ); true ); true ); m'
